import { createServer } from 'node:net';

/**
 * A loopback port that nobody listens on at this moment. It lies below those that systems give to connections, which come and go: none of
 * them may take it while a server that has been stopped is to come back to it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
