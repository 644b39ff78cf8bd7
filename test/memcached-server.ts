import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { findMemcached } from '../scripts/memcached.mjs';
import { freePort } from './free-port.ts';

export interface MemcachedServerOptions {
  /** More of its command line: `['-I', '4k']`. */
  readonly settings?: readonly string[];
}

/** A Memcached of one's own on loopback. It stops with this process, however this process ends. */
export interface MemcachedServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** Sends lines as they are; answers with what came back within a moment. */
  say(...lines: string[]): Promise<string>;
  /** What stands under a key, or null. */
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
  /** Comes back with nothing in it. */
  restart(): Promise<void>;
}

export async function memcachedServer({ settings = [] }: MemcachedServerOptions = {}): Promise<MemcachedServer> {
  const { command: program, libraries } = found();
  const port = await freePort();
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : [];
  const command = [program, '-l', '127.0.0.1', '-p', String(port), '-U', '0', '-m', '64', ...user, ...settings];
  let running: { guard: ChildProcess; ended: Promise<void> };

  async function start(): Promise<void> {
    // The shell ends it when this process is gone: then its own standard input is at its end.
    const guard = spawn(
      'sh',
      ['-c', '"$@" </dev/null & server=$!; echo $server; cat >/dev/null; kill -9 $server; wait $server', 'sh', ...command],
      {
        stdio: ['pipe', 'pipe', 'ignore'],
        detached: true,
        env: { ...process.env, LD_LIBRARY_PATH: libraries },
      },
    );
    running = { guard, ended: new Promise((resolve) => guard.once('exit', () => resolve())) };
    await createInterface(guard.stdout)[Symbol.asyncIterator]().next();
    const deadline = Date.now() + 30_000;
    while (!(await isListening(port))) {
      if (Date.now() > deadline) throw new Error('Memcached did not listen within 30 s');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async function end(): Promise<void> {
    running.guard.stdin?.end();
    await running.ended;
  }

  await start();
  const server: MemcachedServer = {
    port,
    url: `memcached://127.0.0.1:${port}`,
    say: (...lines) => said(port, lines),
    async get(key) {
      const answer = await said(port, [`get ${key}`]);
      return /^VALUE [^\r]*\r\n(.*)\r\nEND\r\n$/s.exec(answer)?.[1] ?? null;
    },
    async set(key, value) {
      await said(port, [`set ${key} 0 0 ${Buffer.byteLength(value)}`, value]);
    },
    async restart() {
      await end();
      await start();
    },
    [Symbol.asyncDispose]: end,
  };
  return server;
}

function found() {
  const memcached = findMemcached();
  if ('missing' in memcached) throw new Error(memcached.missing);
  return memcached;
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.end();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** Over a connection of its own: tests of a client must not trust that client. `quit` makes the server close when it has answered. */
function said(port: number, lines: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1');
    socket.setEncoding('utf8');
    socket.setTimeout(10_000, () => socket.destroy(new Error('Memcached did not answer within 10 s')));
    socket.on('error', reject).on('close', () => resolve(answer));
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.write([...lines, 'quit', ''].join('\r\n'));
  });
}
