import { writeSync } from 'node:fs';

/**
 * Named instants at which a test may stop this process for good. `MILLRACE_FAILPOINT=postgres.commit.before:2` kills it with
 * SIGKILL the second time it comes past `failpoint('postgres.commit.before')`; `…:2:pause` stops it with SIGSTOP instead,
 * so that a test can wake it as a zombie. `MILLRACE_FAILPOINT=*` prints the names it comes past on stderr. Without the variable a
 * failpoint costs two comparisons.
 */
export function failpoint(name: string): void {
  watcher?.(name);
  if (armed === undefined) return;
  if (armed.name === '*') return void writeSync(2, `failpoint ${name}\n`);
  if (armed.name !== name || --armed.remaining > 0) return;
  armed = undefined;
  process.kill(process.pid, pause ? 'SIGSTOP' : 'SIGKILL');
  // SIGSTOP and SIGKILL reach a thread at its next return from the kernel: wait there.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
}

const [target, nth, how] = (process.env.MILLRACE_FAILPOINT ?? '').split(':');
const pause = how === 'pause';
let armed = target ? { name: target, remaining: Number(nth ?? 1) } : undefined;

let watcher: ((name: string) => void) | undefined;

/** For tests in this process: hears of every failpoint that is passed; what it throws is thrown there. The answer ends it. */
export function watchFailpoints(watch: (name: string) => void): Disposable {
  watcher = watch;
  return {
    [Symbol.dispose]: () => {
      watcher = undefined;
    },
  };
}
