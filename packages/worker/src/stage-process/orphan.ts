import { spawnSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';

/*
 * A process that runs stages must not outlive its parent. The end of the IPC channel is an event, and an event does not reach a thread that
 * user code blocks for ever. On Linux the kernel sees to it, where util-linux has the command that asks it to; elsewhere a thread does,
 * which costs every start 60 ms of processor time.
 */

/** Before the program to start and its arguments; null where there is no such command. */
export function killedWithParent(): readonly [string, ...string[]] | null {
  ask ??= spawnSync(setpriv[0], [...setpriv.slice(1), 'true'], { stdio: 'ignore' }).status === 0;
  return ask ? setpriv : null;
}

/** prctl(2), PR_SET_PDEATHSIG: kept over execve(2). */
const setpriv = ['setpriv', '--pdeathsig', 'KILL'] as const;
let ask: boolean | undefined;

/** The argument that tells a process who started it, and whether it has to see itself to its end. */
export const parentArgument = (): string => `${killedWithParent() ? 'killed-with' : 'watches'}:${process.pid}`;

/** Ends this process soon after its parent has died. Call it first. */
export function endWithParent(argument = process.argv[2] ?? ''): void {
  const [how, parent] = argument.split(':');
  // It has died before anybody could be asked to see to that.
  if (process.ppid !== Number(parent)) process.exit(1);
  if (how !== 'killed-with') watch();
}

/** From a thread of its own, which keeps nothing alive. */
function watch(): void {
  const script = `
    const parent = process.ppid;
    setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, 1000);
  `;
  new Worker(script, { eval: true, execArgv: [], stdout: false, stderr: false }).unref();
}
