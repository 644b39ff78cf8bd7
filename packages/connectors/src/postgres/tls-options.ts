import type { ConnectionOptions } from 'node:tls';
import { amazonAuthorities } from '../aws/authorities.ts';
import type { Address } from './address.ts';

/** What Node's TLS is given where the connection is encrypted. */
export async function tlsOptions({ host, hostaddr, tls }: Address): Promise<ConnectionOptions> {
  return {
    ...tls.options,
    ...(tls.amazon && { ca: await amazonAuthorities() }),
    // The certificate is for the name, whatever is dialled.
    ...(hostaddr !== undefined && { servername: host }),
  };
}
