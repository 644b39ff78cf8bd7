/** Often enough for a progress bar, rarely enough to cost nothing. */
const everyMs = 100;

/** Hands on the newest value at most ten times a second, not at once, and the last one always. */
export function throttled<T>(hand: (value: T) => void): { readonly tell: (value: T) => void; readonly flush: () => void } {
  let newest: { readonly value: T } | undefined;
  let last = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (!newest) return;
    last = performance.now();
    const { value } = newest;
    newest = undefined;
    hand(value);
  };
  return {
    tell(value) {
      newest = { value };
      const wait = last + everyMs - performance.now();
      if (wait <= 0) flush();
      else timer ??= setTimeout(flush, wait);
    },
    flush,
  };
}
