import { once } from 'node:events';
import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { memcachedFailure, Refusal } from './failure.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Line extends AsyncDisposable {
  /** Without a secret: `cache-1:11211`. */
  readonly place: string;
  /** Sends commands in one go and waits for all of their answers. @throws for the first that was refused */
  ask(commands: readonly Asked[]): Promise<Answer[]>;
}

/** A command as its bytes, and how its answer ends: with its only line, which begins with one of these words, or with a line that says END. */
export interface Asked {
  readonly bytes: Buffer | string;
  readonly answer: readonly string[] | 'until END';
}

/** The words of each line, with the bytes that follow it. */
export type Answer = readonly { readonly words: readonly string[]; readonly data: Buffer | null }[];

export interface DialOptions {
  readonly tls: { readonly ca?: string } | null;
  readonly login: { readonly user: string; readonly password: string } | null;
  readonly signal: AbortSignal;
}

const connectMs = 10_000;
const answerMs = 60_000;
/** What is read is what was written about a place, and names of nodes. */
const longestValue = 16 * 1024 * 1024;
const longestLine = 64 * 1024;
const mostLines = 1_000;

/** One line to one node. It is not mended: what a node that was away remembers is looked at by the next attempt. */
export async function dial({ host, port }: Address, { tls, login, signal }: DialOptions): Promise<Line> {
  const place = `${host}:${port}`;
  signal.throwIfAborted();
  const socket: Socket = tls
    ? connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...tls })
    : connectPlain({ host, port });
  socket.setNoDelay(true);
  const waiting: Waiting[] = [];
  let [broken, rest]: [unknown, Buffer] = [null, Buffer.alloc(0)];
  const failure = (error: unknown) => memcachedFailure(error, place, login?.password ?? null);
  const breaks = (error: unknown): void => {
    broken ??= error;
    socket.destroy();
    for (const { refuse } of waiting.splice(0)) refuse(broken);
  };
  const onAbort = (): void => breaks(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  socket.once('close', () => signal.removeEventListener('abort', onAbort));
  socket.setTimeout(connectMs, () => breaks(new Error('it did not answer in time')));
  socket.on('error', breaks);
  socket.on('close', () => breaks(new Error('the connection was closed')));
  socket.on('data', (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    try {
      rest = taken(rest, waiting);
    } catch (error) {
      breaks(error);
    }
    if (waiting.length === 0) socket.setTimeout(0);
  });

  async function ask(commands: readonly Asked[]): Promise<Answer[]> {
    signal.throwIfAborted();
    try {
      if (broken !== null) throw broken;
      socket.setTimeout(answerMs);
      const answers = commands.map(
        ({ answer }) => new Promise<Answer>((resolve, refuse) => waiting.push({ ends: answer, lines: [], need: null, resolve, refuse })),
      );
      const settled = Promise.allSettled(answers);
      socket.cork();
      for (const { bytes } of commands) socket.write(bytes);
      socket.uncork();
      await settled;
      return await Promise.all(answers);
    } catch (error) {
      signal.throwIfAborted();
      throw failure(error);
    }
  }

  try {
    await once(socket, tls ? 'secureConnect' : 'connect', { signal });
    if (login) {
      const words = Buffer.from(`${login.user} ${login.password}`);
      await ask([
        { bytes: Buffer.concat([Buffer.from(`set auth 0 0 ${words.length}\r\n`), words, Buffer.from('\r\n')]), answer: ['STORED'] },
      ]);
    }
    socket.setTimeout(0);
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw failure(broken ?? error);
  }
  return {
    place,
    ask,
    async [Symbol.asyncDispose]() {
      broken ??= new Error('the connection was closed');
      socket.destroy();
    },
  };
}

interface Waiting {
  readonly ends: Asked['answer'];
  readonly lines: { words: readonly string[]; data: Buffer | null }[];
  /** Bytes of a value that is being read. */
  need: number | null;
  readonly resolve: (answer: Answer) => void;
  readonly refuse: (error: unknown) => void;
}

/** Gives whoever waits what is theirs; answers what is left. */
function taken(bytes: Buffer, waiting: Waiting[]): Buffer {
  let at = 0;
  for (let first = waiting[0]; first; first = waiting[0]) {
    if (first.need !== null) {
      if (bytes.length < at + first.need + 2) break;
      (first.lines.at(-1) as { data: Buffer | null }).data = Buffer.from(bytes.subarray(at, at + first.need));
      at += first.need + 2;
      first.need = null;
    }
    const end = bytes.indexOf('\r\n', at);
    if (end < 0 ? bytes.length - at > longestLine : end - at > longestLine) throw unreadable();
    if (end < 0) break;
    const text = bytes.toString('utf8', at, end);
    at = end + 2;
    const words = text.split(' ');
    if (/^(ERROR|CLIENT_ERROR|SERVER_ERROR)\b/.test(text)) {
      waiting.shift();
      first.refuse(new Refusal(text));
    } else if (first.ends !== 'until END') {
      // Who says something else is no Memcached, and has not done what it was told.
      if (!first.ends.includes(words[0] ?? '')) throw unreadable();
      waiting.shift();
      first.resolve([{ words, data: null }]);
    } else if (text === 'END') {
      waiting.shift();
      first.resolve(first.lines);
    } else {
      first.lines.push({ words, data: null });
      if (first.lines.length > mostLines) throw unreadable();
      if (words[0] !== 'VALUE' && words[0] !== 'CONFIG') continue;
      first.need = Number(words[3]);
      if (!(first.need >= 0 && first.need <= longestValue)) throw unreadable();
    }
  }
  if (waiting.length === 0 && at < bytes.length) throw new Error('it said something that nobody had asked for');
  return at === bytes.length ? Buffer.alloc(0) : bytes.subarray(at);
}

const unreadable = (): Error => new Error('its answer is none of a Memcached');
