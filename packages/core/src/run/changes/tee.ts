import { MillraceError } from '../../error/index.ts';

/** One of several who read the same items. */
export interface Reader<Item> extends AsyncIterable<Item> {
  /** Wants no more, whether it has begun or not. Once for each reader, however it went: the others wait for it until then. */
  leave(): void;
}

/**
 * One iteration for several readers, who get the same items. The slowest sets the pace: an item is let go when all have taken it, and
 * the next is read when all ask. A reader that leaves does not hold up the others; when the last has left the source is closed.
 */
export function tee<Item>(source: AsyncIterable<Item>, readers: number): Reader<Item>[] {
  const iterator = source[Symbol.asyncIterator]();
  const left = new Set<number>(Array.from({ length: readers }, (_, reader) => reader));
  let waiting = new Map<number, (next: Promise<IteratorResult<Item>>) => void>();
  const step = (): void => {
    if (left.size === 0 || waiting.size < left.size) return;
    const asked = waiting;
    waiting = new Map();
    const next = iterator.next();
    next.catch(() => {}); // each reader sees it
    for (const answer of asked.values()) answer(next);
  };
  const leave = (reader: number): void => {
    // Not an end: whoever takes what it has for everything would commit a half.
    waiting.get(reader)?.(Promise.reject(hasLeft()));
    waiting.delete(reader);
    if (!left.delete(reader)) return;
    // Nobody waits for it: the source may be in the middle of something long.
    if (left.size === 0) iterator.return?.().catch(() => {});
    else step();
  };
  return Array.from({ length: readers }, (_, reader) => ({
    leave: () => leave(reader),
    async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
      try {
        for (;;) {
          if (!left.has(reader)) throw hasLeft();
          const next = await new Promise<IteratorResult<Item>>((resolve) => {
            waiting.set(reader, resolve);
            step();
          });
          if (next.done) return;
          yield next.value;
        }
      } finally {
        leave(reader);
      }
    },
  }));
}

const hasLeft = (): MillraceError =>
  new MillraceError('INTERNAL', { message: 'A reader of a stream went on after it had left.', remedy: 'Please report it.' });
