import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findRedis } from '../scripts/redis.mjs';
import { freePort } from './free-port.ts';

export interface RedisServerOptions {
  /** Lines of redis.conf: `{ 'maxmemory-policy': 'allkeys-lru' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Keeps what was written over a restart, as an append-only file does. Without it a restart comes back empty. */
  readonly durable?: boolean;
  /** Speaks TLS and nothing else, with these PEM files. */
  readonly tls?: { readonly key: string; readonly certificate: string };
}

/** A Redis of one's own on loopback, started in some hundredths of a second. It stops with this process, however this process ends. */
export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** Sends one command, as the words of it; answers with what came back, unparsed. */
  command(...words: string[]): Promise<string>;
  /** FLUSHALL. */
  flush(): Promise<void>;
  /** Ends it in an orderly way. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** On the same port as before. */
  start(): Promise<void>;
  restart(): Promise<void>;
}

export async function redisServer({ settings = {}, durable = false, tls }: RedisServerOptions = {}): Promise<RedisServer> {
  const { command, libraries } = found();
  const folder = mkdtempSync(join(tmpdir(), 'millrace-redis-'));
  const log = join(folder, 'log');
  const port = await freePort();
  const lines = {
    bind: '127.0.0.1',
    port: tls ? '0' : String(port),
    ...(tls && { 'tls-port': String(port), 'tls-key-file': tls.key, 'tls-cert-file': tls.certificate, 'tls-auth-clients': 'no' }),
    dir: folder,
    save: '""',
    appendonly: durable ? 'yes' : 'no',
    appendfsync: 'always',
    logfile: log,
    'maxmemory-policy': 'noeviction',
    ...settings,
  };
  const config = join(folder, 'redis.conf');
  for (const [name, value] of Object.entries(lines)) appendFileSync(config, `${name} ${value}\n`);
  let running: { guard: ChildProcess; pid: number; ended: Promise<void> } | undefined;

  async function start(): Promise<void> {
    // The shell ends it when this process is gone: then its own standard input is at its end.
    const guard = spawn(
      'sh',
      ['-c', '"$@" </dev/null & server=$!; echo $server; cat >/dev/null; kill -9 $server; wait $server', 'sh', command, config],
      { stdio: ['pipe', 'pipe', 'ignore'], detached: true, env: { ...process.env, LD_LIBRARY_PATH: libraries } },
    );
    const ended = new Promise<void>((resolve) => guard.once('exit', () => resolve()));
    const [pid] = (await createInterface(guard.stdout)[Symbol.asyncIterator]().next()).value.split(' ');
    running = { guard, pid: Number(pid), ended };
    const deadline = Date.now() + 30_000;
    while (!(await answers(port))) {
      if (Date.now() > deadline) throw new Error(`Redis did not answer within 30 s: ${readFileSync(log, 'utf8')}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (!running) return;
    const { guard, pid, ended } = running;
    running = undefined;
    process.kill(pid, signal);
    while (await answers(port)) await new Promise((resolve) => setTimeout(resolve, 10));
    guard.stdin?.end();
    await ended;
  }

  await start();
  return {
    port,
    url: `${tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`,
    command: (...words) => ask(port, words),
    flush: async () => void (await ask(port, ['FLUSHALL'])),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    start,
    async restart() {
      await end('SIGTERM');
      await start();
    },
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A cluster of one node, which has all slots. */
export async function redisCluster(): Promise<RedisServer> {
  const settings = { 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1', 'cluster-port': String(await freePort()) };
  const node = await redisServer({ settings });
  await node.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  const deadline = Date.now() + 30_000;
  while (!(await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok')) {
    if (Date.now() > deadline) throw new Error('The cluster is not ready after 30 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return node;
}

function found() {
  const redis = findRedis();
  if ('missing' in redis) throw new Error(redis.missing);
  return redis;
}

/** Also one that loads its data, wants a password or speaks TLS does. */
async function answers(port: number): Promise<boolean> {
  try {
    return !(await ask(port, ['PING'])).startsWith('-LOADING');
  } catch (error) {
    return (error as { code?: unknown }).code === 'ECONNRESET';
  }
}

/** One command over a connection of its own: tests of a client must not trust that client. */
function ask(port: number, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('utf8');
    socket.setTimeout(10_000, () => socket.destroy(new Error(`Redis did not answer ${words[0]} within 10 s`)));
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
    socket.on('data', (text: string) => {
      answer += text;
      if (/^[+:-].*\r\n$/s.test(answer)) socket.end();
      const bulk = /^\$(-?\d+)\r\n/.exec(answer);
      if (bulk && answer.length >= bulk[0].length + (bulk[1] === '-1' ? 0 : Number(bulk[1]) + 2)) socket.end();
      if (answer.startsWith('*')) setTimeout(() => socket.end(), 50).unref();
    });
    socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
  });
}
