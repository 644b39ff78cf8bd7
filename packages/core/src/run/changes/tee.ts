/**
 * One iteration for several readers, who get the same items. The slowest sets the pace: an item is let go when all have taken it, and
 * the next is read when all ask. A reader that leaves does not hold up the others.
 */
export function tee<Item>(source: AsyncIterable<Item>, readers: number): AsyncIterable<Item>[] {
  if (readers === 1) return [source];
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
  const leave = async (reader: number): Promise<void> => {
    waiting.delete(reader);
    if (left.delete(reader) && left.size === 0) await iterator.return?.();
    step();
  };
  return Array.from({ length: readers }, (_, reader) => ({
    async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
      try {
        for (;;) {
          const next = await new Promise<IteratorResult<Item>>((resolve) => {
            waiting.set(reader, resolve);
            step();
          });
          if (next.done) return;
          yield next.value;
        }
      } finally {
        await leave(reader);
      }
    },
  }));
}
