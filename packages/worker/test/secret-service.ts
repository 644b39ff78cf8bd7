import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a request asks: its operation (`GetSecretValue`) and its parameters. */
export interface ServiceRequest {
  readonly operation: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** An answer, or the error that the service names. */
export type ServiceAnswer = object | { readonly status: number; readonly error: string };

export interface SecretService extends AsyncDisposable {
  readonly url: string;
  readonly requests: ServiceRequest[];
}

/** A server that speaks the JSON protocol of AWS 1.1, and answers what a test lets it. It looks at no signature. */
export async function secretService(answer: (request: ServiceRequest) => ServiceAnswer): Promise<SecretService> {
  const requests: ServiceRequest[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const operation = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
      const asked = { operation, parameters: JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown> };
      requests.push(asked);
      const said = answer(asked);
      const failed = 'error' in said ? (said as { status: number; error: string }) : null;
      response.writeHead(failed?.status ?? 200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(failed ? { __type: failed.error, message: `${failed.error} of the test` } : said));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
