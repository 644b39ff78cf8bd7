/**
 * Asks for many in one request what is asked for one by one in the same turn of the event loop. `many` answers those it has; each of the
 * others is asked for alone, which also says what is the matter with it.
 */
export function batched(
  most: number,
  many: (ids: readonly string[]) => Promise<ReadonlyMap<string, string>>,
  one: (id: string) => Promise<string | undefined>,
): (id: string) => Promise<string | undefined> {
  let waiting: { readonly id: string; readonly resolve: (answer: Promise<string | undefined>) => void }[] = [];

  async function ask(asked: typeof waiting): Promise<void> {
    try {
      const found = asked.length > 1 ? await many(asked.map(({ id }) => id)) : new Map<string, string>();
      for (const { id, resolve } of asked) resolve(found.has(id) ? Promise.resolve(found.get(id)) : one(id));
    } catch (error) {
      for (const { resolve } of asked) resolve(Promise.reject(error));
    }
  }

  return (id) =>
    new Promise((resolve) => {
      waiting.push({ id, resolve });
      if (waiting.length > 1) return;
      setImmediate(() => {
        const asked = waiting;
        waiting = [];
        for (let at = 0; at < asked.length; at += most) void ask(asked.slice(at, at + most));
      });
    });
}
