// npm start: the fleet on this machine, without containers. An embedded Postgres, a Redis where one is installed, three workers, a scheduler.
import { spawn } from 'node:child_process';
import { accessSync, constants, createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const logs = join(here, '.millrace', 'fleet');
const members = ['worker-1', 'worker-2', 'worker-3', 'scheduler'];

/**
 * Starts the fleet's processes, and starts each again that ends: what ECS or an orchestrator of containers does elsewhere.
 * @param {{ command?: string[], env?: NodeJS.ProcessEnv, say?: (line: string) => void }} [options] `command` begins millrace
 */
export async function startFleet({ command = [join(here, 'node_modules/.bin/millrace')], env = process.env, say = console.log } = {}) {
  mkdirSync(logs, { recursive: true });
  const redis = env['REDIS_URL'] ? null : await startRedis();
  const setting = { command, env: { ...env, ...(redis && { REDIS_URL: redis.url }) }, say };
  say(redis ? `Redis at ${redis.url}` : env['REDIS_URL'] ? 'the Redis of REDIS_URL' : 'no Redis here: Postgres wakes the workers');
  const processes = members.map((name) => keep(name, setting));
  async function stop() {
    await Promise.all(processes.map((one) => one.stop()));
    await redis?.stop();
  }
  try {
    await Promise.all(processes.map(({ ready }) => ready));
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}

/**
 * In a process group of its own, so that Ctrl-C reaches this script alone.
 * @param {string} name
 * @param {{ command: string[], env: NodeJS.ProcessEnv, say: (line: string) => void }} setting
 */
function keep(name, { command: [file = '', ...first], env, say }) {
  const log = createWriteStream(join(logs, `${name}.log`), { flags: 'a' });
  let stopping = false;
  /** @type {import('node:child_process').ChildProcess} */
  let child;
  /** @type {() => void} */
  let over = () => {};
  const ended = new Promise((resolve) => {
    over = () => resolve(undefined);
  });
  const ready = new Promise((resolve, reject) => start(resolve, reject));

  /** @param {(value?: unknown) => void} up @param {(reason: Error) => void} failed */
  function start(up, failed) {
    child = spawn(file, [...first, name.replace(/-\d$/, ''), '--json'], {
      cwd: here,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) stream?.pipe(log, { end: false });
    child.stdout?.on('data', (text) => {
      if (!/"type":"(working|scheduling)"/.test(String(text))) return;
      writeFileSync(join(logs, `${name}.pid`), `${child.pid}\n`);
      say(`${name} is process ${child.pid}`);
      up();
    });
    child.once('error', failed);
    child.once('exit', (code, signal) => {
      if (stopping) return over();
      say(`${name} has ended (${signal ?? `exit code ${code}`}); another takes its place`);
      failed(new Error(`${name} did not start: see ${join(logs, `${name}.log`)}`));
      setTimeout(() => (stopping ? over() : start(up, failed)), 1_000);
    });
  }

  async function stop() {
    stopping = true;
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    else setTimeout(over, 1_000);
    await ended;
    log.end();
  }
  return { ready, stop };
}

async function startRedis() {
  const file = (process.env['PATH'] ?? '')
    .split(delimiter)
    .flatMap((folder) => ['redis-server', 'valkey-server'].map((name) => join(folder, name)))
    .find(executable);
  if (file === undefined) return null;
  const port = await freePort();
  const settings = { port, bind: '127.0.0.1', save: '', appendonly: 'no', 'maxmemory-policy': 'noeviction' };
  const child = spawn(
    file,
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { detached: true, stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
  while (child.exitCode === null && !(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 50));
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** @param {string} path */
function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/** @param {number} port @returns {Promise<boolean>} */
function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const asked = new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  const { embeddedPostgres } = await import('@millrace/cli/embedded');
  const postgres = await embeddedPostgres({ directory: join(here, '.millrace/postgres') });
  try {
    const fleet = await startFleet();
    console.log('The fleet is at work. Ctrl-C ends it.');
    await asked;
    console.log('Draining.');
    await fleet.stop();
  } finally {
    await postgres[Symbol.asyncDispose]();
  }
}
