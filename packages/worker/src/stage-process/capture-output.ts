/** What functions of the pipeline print becomes lines of the run's log. A line is cut at 64 KiB. */
export function captureOutput(line: (level: 'stdout' | 'stderr', text: string) => void): void {
  for (const level of ['stdout', 'stderr'] as const) {
    const split = lines((text) => line(level, text));
    process[level].write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
      split(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8'));
      const done = rest.find((one) => typeof one === 'function');
      if (done) process.nextTick(done as () => void);
      return true;
    };
  }
}

const longest = 64 * 1024;

export function lines(line: (text: string) => void): (chunk: string) => void {
  let rest = '';
  return (chunk) => {
    const parts = (rest + chunk).split(/\r?\n/);
    rest = parts.pop() ?? '';
    for (const text of parts) if (text !== '') line(text.slice(0, longest));
    if (rest.length >= longest) {
      line(rest);
      rest = '';
    }
  };
}
