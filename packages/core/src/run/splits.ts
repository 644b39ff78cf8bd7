/** Does the work for each item, so many at a time, in order. After the first failure nothing new begins, and all that has begun is awaited. */
export async function sideBySide<Item>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<void>,
  failed: (error: unknown) => void,
): Promise<void> {
  let next = 0;
  const step = async (): Promise<boolean> => {
    if (next >= items.length) return false;
    await work(items[next++] as Item);
    return true;
  };
  await lanes(Math.min(width, items.length), step, failed);
}

/** So many at a time, step after step until there is none left. After the first failure nothing new begins, and all that has begun is awaited. */
export async function lanes(width: number, step: () => Promise<boolean>, failed: (error: unknown) => void): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    while (!failure) {
      try {
        if (!(await step())) return;
      } catch (error) {
        if (failure) return;
        failure = { error };
        failed(error);
      }
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  if (failure) throw failure.error;
}

/** A few batches on their way at each end, and the buffers of two sockets. */
const splitMemory = 32 * 1024 * 1024;

/** How many splits may be on their way at once. */
export function sideBySideWidth(splits: number, concurrency: number, memoryBudget: number): number {
  return Math.max(1, Math.min(splits, concurrency, Math.floor(memoryBudget / splitMemory)));
}
