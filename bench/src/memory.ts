import { readdirSync, readFileSync } from 'node:fs';

/** Samples the resident memory of a process and all its descendants together until it is stopped; answers the peak in MB. */
export function watchMemory(pid: number): { stop(): number } {
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, residentMb(pid));
  }, 20);
  return {
    stop() {
      clearInterval(timer);
      return peak;
    },
  };
}

/** Reads /proc; pages that processes share are counted for each, so this errs upwards. */
function residentMb(root: number): number {
  const parents = new Map<number, number>();
  const resident = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      // The command stands in parentheses and may hold anything; the state and the parent follow it.
      parents.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
      resident.set(pid, (Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * 4096) / 1e6);
    } catch {
      // It has just ended.
    }
  }
  let total = 0;
  for (const [pid, megabytes] of resident) {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at)) {
      if (at === root) {
        total += megabytes;
        break;
      }
    }
  }
  return total;
}
