/** A command of Redis, word by word. The second word is its key. */
export type Command = readonly [name: string, key: string, ...words: (string | Buffer)[]];

/**
 * Commands as MessagePack, an array of arrays of strings, which scripts unpack by `cmsgpack`. Only the widest forms are used: each is
 * a byte for what it is, four for its length, and the rest.
 */
export function pack(commands: readonly Command[]): Buffer {
  let size = 5;
  for (const command of commands) {
    size += 5;
    for (const word of command) size += 5 + Buffer.byteLength(word);
  }
  const packed = Buffer.allocUnsafe(size);
  let at = head(packed, 0, array32, commands.length);
  for (const command of commands) {
    at = head(packed, at, array32, command.length);
    for (const word of command) {
      const length = typeof word === 'string' ? packed.write(word, at + 5, 'utf8') : word.copy(packed, at + 5);
      at = head(packed, at, string32, length) + length;
    }
  }
  return packed;
}

const array32 = 0xdd;
const string32 = 0xdb;

function head(packed: Buffer, at: number, kind: number, length: number): number {
  packed[at] = kind;
  packed.writeUInt32BE(length, at + 1);
  return at + 5;
}

/** About what it takes when it is packed. */
export function sizeOf(command: Command): number {
  let size = 5;
  for (const word of command) size += 5 + word.length;
  return size;
}

export interface Bounds {
  readonly commands: number;
  readonly bytes: number;
}

/** Commands in portions: each within the bounds, or a single one that is larger. */
export async function* portions(commands: Iterable<Command> | AsyncIterable<Command>, bounds: Bounds): AsyncGenerator<Command[]> {
  let portion: Command[] = [];
  let bytes = 0;
  for await (const command of commands) {
    const size = sizeOf(command);
    if (portion.length > 0 && (portion.length >= bounds.commands || bytes + size > bounds.bytes)) {
      yield portion;
      portion = [];
      bytes = 0;
    }
    portion.push(command);
    bytes += size;
  }
  if (portion.length > 0) yield portion;
}
