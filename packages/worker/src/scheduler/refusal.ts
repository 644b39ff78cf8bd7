import { isMillraceError } from '@millrace/core/runtime';

/** True where asking again would be answered in the same way: then it is noted, else it is tried at the next look. */
export const isRefusal = (error: unknown): boolean => isMillraceError(error) && error.entry.retry === 'never' && error.entry.exit !== 69;

/** One that goes wrong keeps none of the others from its turn; what went wrong first is thrown at the end. */
export async function eachAlone<T>(all: Iterable<T>, work: (one: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const one of all) await work(one).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
