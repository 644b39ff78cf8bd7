/** Does the work for each item, so many at a time, in order. After the first failure nothing new begins, and all that has begun is awaited. */
export async function sideBySide<Item>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<void>,
  failed: (error: unknown) => void,
): Promise<void> {
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failure) {
      const item = items[next++] as Item;
      try {
        await work(item);
      } catch (error) {
        if (failure) return;
        failure = { error };
        failed(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  if (failure) throw failure.error;
}

/** A few batches on their way at each end, and the buffers of two sockets. */
const splitMemory = 32 * 1024 * 1024;

/** How many splits may be on their way at once. */
export function sideBySideWidth(splits: number, concurrency: number, memoryBudget: number): number {
  return Math.max(1, Math.min(splits, concurrency, Math.floor(memoryBudget / splitMemory)));
}
