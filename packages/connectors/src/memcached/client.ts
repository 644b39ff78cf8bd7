import { type Context, MillraceError, type Setting } from '@millrace/core/runtime';
import { type Address, type Answer, type Asked, dial, type Line } from './node.ts';

export interface MemcachedSettings {
  readonly url: Setting;
  readonly discover: boolean;
  readonly ca?: Setting;
}

/** What stands under a key, and a number that changes whenever it is written. */
export interface Versioned {
  readonly text: string;
  readonly version: string;
}

/** One node of a cache. */
export interface Node {
  readonly place: string;
  version(): Promise<string>;
  /** Deletes keys, whether they are there or not. */
  remove(keys: readonly string[]): Promise<void>;
  /** `seconds` as Memcached takes them; 0 is for ever. */
  put(values: ReadonlyMap<string, string>, seconds: number): Promise<void>;
  read(key: string): Promise<Versioned | null>;
  /** False where somebody else has written or it is not there any more; `version` null puts it only where there is nothing. */
  swap(key: string, text: string, version: string | null): Promise<boolean>;
  /** Everything that is there is gone. */
  empty(): Promise<void>;
}

export interface Cache extends AsyncDisposable {
  readonly nodes: readonly Node[];
}

/** So many commands are sent at once, or bytes of them. */
const atOnce = { commands: 500, bytes: 1024 * 1024 };

/** All nodes. @throws CONFIG_INVALID, CONNECTION_FAILED, AUTHENTICATION_FAILED, CERTIFICATE_REFUSED */
export async function openCache(settings: MemcachedSettings, context: Pick<Context, 'secret' | 'signal'>): Promise<Cache> {
  const settingOf = async (of: Setting): Promise<string> => (typeof of === 'string' ? of : context.secret(of));
  const { addresses, isTls, login } = addressesOf(await settingOf(settings.url));
  const options = {
    tls: isTls ? { ...(settings.ca !== undefined && { ca: await settingOf(settings.ca) }) } : null,
    login,
    signal: context.signal,
  };
  const lines: Line[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(lines.map((line) => line[Symbol.asyncDispose]()));
  };
  const open = async (some: readonly Address[]): Promise<void> => {
    const opened = await Promise.allSettled(some.map((address) => dial(address, options)));
    lines.push(...opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
    for (const one of opened) if (one.status === 'rejected') throw one.reason;
  };
  try {
    if (settings.discover) {
      const [entry] = addresses as [Address];
      await using first = await dial(entry, options);
      await open(await discovered(first));
    } else await open(addresses);
    return { nodes: lines.map(nodeAt), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** `memcached://cache-1:11211,cache-2:11211`; over TLS `memcacheds://`. @throws CONFIG_INVALID */
function addressesOf(url: string) {
  const match = /^memcached(s?):\/\/(?:([^:@/]*):([^@/]*)@)?([^@/]+)\/?$/.exec(url);
  const addresses = (match?.[4] ?? '').split(',').map((text) => /^(\[[0-9a-f:]+\]|[\w.-]+)(?::(\d+))?$/i.exec(text.trim()));
  try {
    if (match && addresses.every((found) => found !== null))
      return {
        addresses: addresses.map(
          (found): Address => ({ host: (found?.[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(found?.[2] ?? 11_211) }),
        ),
        isTls: match[1] === 's',
        login: match[3] === undefined ? null : { user: decodeURIComponent(match[2] ?? ''), password: decodeURIComponent(match[3]) },
      };
  } catch {
    // not percent-encoded as it should be
  }
  throw new MillraceError('CONFIG_INVALID', {
    message: 'The address of the cache is no memcached:// or memcacheds:// URL.',
    remedy: 'Write memcached://host:11211, with more nodes after commas; memcacheds:// where they speak TLS.',
  });
}

/** The nodes behind a configuration endpoint of ElastiCache: a version, and `host|address|port` of each. */
async function discovered(line: Line): Promise<Address[]> {
  const [answer = []] = await line.ask([{ bytes: 'config get cluster\r\n', answer: 'until END' }]);
  const [, nodes = ''] = (answer[0]?.data?.toString('utf8') ?? '').split('\n');
  const found = nodes.split(' ').flatMap((text): Address[] => {
    const [host = '', address = '', port = ''] = text.trim().split('|');
    return port === '' ? [] : [{ host: host || address, port: Number(port) }];
  });
  if (found.length > 0) return found;
  throw new MillraceError('CONFIG_INVALID', {
    message: `Memcached at ${line.place} names no nodes: it is no configuration endpoint.`,
    remedy: 'Leave `discover` out, and name the nodes in the URL.',
  });
}

function nodeAt(line: Line): Node {
  const one = async (command: Asked): Promise<Answer> => (await line.ask([command]))[0] ?? [];
  const all = async (commands: Iterable<Asked>): Promise<void> => {
    let [some, bytes]: [Asked[], number] = [[], 0];
    for (const command of commands) {
      some.push(command);
      bytes += command.bytes.length;
      if (some.length < atOnce.commands && bytes < atOnce.bytes) continue;
      await line.ask(some);
      [some, bytes] = [[], 0];
    }
    if (some.length > 0) await line.ask(some);
  };
  const word = (answer: Answer): string => answer[0]?.words[0] ?? '';
  return {
    place: line.place,
    version: async () => (await one({ bytes: 'version\r\n', answer: ['VERSION'] }))[0]?.words.slice(1).join(' ') ?? '',
    remove: (keys) => all(keys.map((key) => ({ bytes: `delete ${key}\r\n`, answer: ['DELETED', 'NOT_FOUND'] }))),
    put: (values, seconds) => all(stores(values, seconds)),
    async read(key) {
      const [found] = await one({ bytes: `gets ${key}\r\n`, answer: 'until END' });
      return found?.data ? { text: found.data.toString('utf8'), version: found.words[4] ?? '' } : null;
    },
    swap: async (key, text, version) =>
      word(await one(version === null ? store('add', key, text, 0) : store('cas', key, text, 0, version))) === 'STORED',
    async empty() {
      await one({ bytes: 'flush_all\r\n', answer: ['OK'] });
    },
  };
}

function* stores(values: ReadonlyMap<string, string>, seconds: number): Generator<Asked> {
  for (const [key, text] of values) yield store('set', key, text, seconds);
}

const answers = { set: ['STORED'], add: ['STORED', 'NOT_STORED'], cas: ['STORED', 'EXISTS', 'NOT_FOUND'] } as const;

function store(how: 'set' | 'add' | 'cas', key: string, text: string, seconds: number, version?: string): Asked {
  const data = Buffer.from(text);
  const head = `${how} ${key} 0 ${seconds} ${data.length}${version === undefined ? '' : ` ${version}`}\r\n`;
  return { bytes: Buffer.concat([Buffer.from(head), data, Buffer.from('\r\n')]), answer: answers[how] };
}
