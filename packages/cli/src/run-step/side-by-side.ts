/**
 * Does the same work in several places until the signal asks for the end. One that cannot go on asks the others to end as well, and is told when
 * they have.
 */
export async function sideBySide(places: number, signal: AbortSignal, work: (end: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const end = AbortSignal.any([signal, stop.signal]);
  // Of several that fail the first says why.
  await Promise.all(Array.from({ length: places }, () => work(end).catch((error: unknown) => stop.abort(error))));
  if (stop.signal.aborted) throw stop.signal.reason;
}
