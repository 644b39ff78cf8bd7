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

/** Milliseconds of processor time that a process and its descendants have taken, those that have ended included. Ticks are of 10 ms. */
export function familyCpuMs(pid: number): number {
  const [, , childUser = 0, childSystem = 0] = statOf(pid).slice(11, 15);
  return family(pid).reduce((sum, one) => sum + ownCpuMs(one), (childUser + childSystem) * 10);
}

export function ownCpuMs(pid: number): number {
  const [user = 0, system = 0] = statOf(pid).slice(11, 13);
  return (user + system) * 10;
}

export const parentOf = (pid: number): number => statOf(pid)[1] ?? 0;

/** The numbers behind the name in `/proc/…/stat`, from the state on. None where it has ended. */
function statOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')
      .map(Number);
  } catch {
    return [];
  }
}

/** The process and its descendants, as each of its threads names its children. */
export function family(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    );
    return [pid, ...children.flatMap(family)];
  } catch {
    return []; // it has just ended
  }
}

const peakMb = (pid: number): number => statusMb(pid, 'VmHWM');

/** Resident memory of a process at this moment. */
export const residentMb = (pid: number): number => statusMb(pid, 'VmRSS');

function statusMb(pid: number, name: 'VmHWM' | 'VmRSS'): number {
  try {
    return (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024) / 1e6;
  } catch {
    return 0;
  }
}
