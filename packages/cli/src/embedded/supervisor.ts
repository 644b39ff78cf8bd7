import { randomBytes, timingSafeEqual } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, type ClusterSpec, startCluster } from './cluster.ts';
import { asRefusal, type Hello, heard, heldByAnother, type Status, say } from './control.ts';
import { claimLock, keepLock, type Lock, releaseLock } from './lock.ts';
import { logSize, logTail } from './log.ts';
import { identity, place } from './process.ts';

/*
 * The process that owns the embedded Postgres of one directory: started detached by the first client, it outlives it for as long as
 * others are connected, and stops the server when the last one has been gone for two seconds, which spares the next command of a
 * shell script the start.
 *
 *   starting ──▶ ready ──▶ stopping            no clients, or a signal
 *      │           └─────▶ lost                the postmaster ended by itself
 *      └─────────▶ failed
 *
 * The port answers until the very end, so that nobody takes the lock of a supervisor that is still stopping its server.
 */

const lingerMs = 2_000;
/** The first client needs a moment to find the lock, also that of a start that has failed by then. */
const firstMs = 5_000;
const failedMs = 500;

await supervise(JSON.parse(process.argv[2] ?? '{}') as ClusterSpec).catch((error: Error) => {
  console.error(error.message); // no lock, so nobody is connected: the first client reads it in our log
  process.exit(1);
});

async function supervise(spec: ClusterSpec): Promise<void> {
  const token = randomBytes(24).toString('hex');
  const clients = new Set<Socket>();
  let status = { at: 'starting' } as Status;
  let failedAt = Number.POSITIVE_INFINITY;
  let linger: NodeJS.Timeout | undefined;
  let cluster: Cluster;

  const server = await listen((socket) => void receive(socket));
  const { port } = server.address() as AddressInfo;
  const lock = await claimLock(spec.directory, { pid: process.pid, identity: identity(process.pid), place: place(), port, token });
  if (lock === undefined) process.exit(heldByAnother);
  keepLock(lock);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void stop(lock));

  const logged = await logSize(spec.directory);
  try {
    cluster = await startCluster(spec);
  } catch (error) {
    failedAt = Date.now();
    become({ at: 'failed', why: asRefusal(error) });
    await sleep(failedMs);
    return await leave(lock);
  }
  if (status.at !== 'starting') return await end(lock);
  void cluster.ended.then(() => lost(lock));
  become({ at: 'ready', port: cluster.port });
  leaveWhenIdle(lock, firstMs);

  async function receive(socket: Socket): Promise<void> {
    socket.on('error', () => {});
    socket.setTimeout(10_000, () => socket.destroy()); // until it has said hello
    for await (const hello of heard<Hello>(socket)) {
      if (!isToken(hello.token, token)) break;
      socket.setTimeout(0);
      if (hello.as === 'client') {
        clients.add(socket);
        clearTimeout(linger);
      }
      say(socket, hello.since >= failedAt ? { at: 'stopping' } : status);
    }
    socket.destroy();
    if (clients.delete(socket) && lock) leaveWhenIdle(lock, lingerMs);
  }

  function become(next: Status): void {
    status = next;
    for (const client of clients) say(client, status);
  }

  function leaveWhenIdle(lock: Lock, after: number): void {
    clearTimeout(linger);
    if (clients.size === 0 && status.at === 'ready') linger = setTimeout(() => void stop(lock), after);
  }

  /** During the start it only leaves word: the start ends first, so that nothing is left half made. */
  async function stop(lock: Lock): Promise<void> {
    const was = status.at;
    if (was === 'starting' || was === 'ready') become({ at: 'stopping' });
    if (was === 'ready') await end(lock);
  }

  async function end(lock: Lock): Promise<void> {
    await cluster.stop();
    await leave(lock);
  }

  async function lost(lock: Lock): Promise<void> {
    if (status.at !== 'ready') return;
    const said = await logTail(spec.directory, logged);
    become({
      at: 'lost',
      why: {
        message: `The embedded Postgres ended while it was in use${said ? `: ${said}` : '.'}`,
        remedy: 'Run the command again: the server recovers what was committed when it starts.',
        facts: { directory: spec.directory },
      },
    });
    await leave(lock);
  }

  /** The last words reach the clients, the lock is free, and then nobody listens. */
  async function leave(lock: Lock): Promise<never> {
    await releaseLock(lock).catch(() => {}); // the directory may have been removed
    const heardOut = [...clients].map((client) => new Promise<void>((resolve) => client.end(resolve)));
    await Promise.race([Promise.all(heardOut), sleep(1_000)]);
    process.exit(0);
  }
}

function listen(onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(onConnection);
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

function isToken(given: unknown, token: string): boolean {
  const [a, b] = [Buffer.from(String(given)), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
}
