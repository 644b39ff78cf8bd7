import { readdirSync, readFileSync } from 'node:fs';

/** Seldom enough that looking takes nothing from what is measured: the kernel remembers each process's own peak. */
const lookEveryMs = 100;

/**
 * The peak of resident memory of a process and all its descendants, in MB, from now until it is stopped. Peaks of several processes are
 * added up whether or not they came at the same time, and pages that they share are counted for each: this errs upwards.
 */
export function watchMemory(pid: number): { stop(): number } {
  const peaks = new Map<number, number>();
  const look = (): void => {
    for (const one of family(pid)) peaks.set(one, Math.max(peaks.get(one) ?? 0, peakMb(one)));
  };
  const timer = setInterval(look, lookEveryMs);
  return {
    stop() {
      clearInterval(timer);
      return [...peaks.values()].reduce((sum, peak) => sum + peak, 0);
    },
  };
}

/** The process and its descendants, as each of its threads names its children. */
function family(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    );
    return [pid, ...children.flatMap(family)];
  } catch {
    return []; // it has just ended
  }
}

function peakMb(pid: number): number {
  try {
    return (Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024) / 1e6;
  } catch {
    return 0;
  }
}
