import dns from 'node:dns';
import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type AmazonEndpoint, amazonEndpoint } from './endpoint.ts';

/** Aliases of aliases that are followed. */
const most = 8;

/** The endpoint of Amazon's that a name is an alias of (CNAME), by way of other aliases; null where there is none, or nobody answers in time. */
export async function amazonBehind(host: string): Promise<AmazonEndpoint | null> {
  if (isIP(host) !== 0 || host.startsWith('/')) return null;
  const resolver = new Resolver({ timeout: 1_000, tries: 2 });
  resolver.setServers(dns.getServers());
  let name = host;
  try {
    for (let followed = 0; followed < most; followed++) {
      const [alias] = await resolver.resolveCname(name);
      if (alias === undefined) return null;
      const endpoint = amazonEndpoint(alias);
      if (endpoint) return endpoint;
      name = alias;
    }
  } catch {
    // It is no alias, or names are not to be had from here: then it is not known.
  }
  return null;
}
