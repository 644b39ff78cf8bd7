import { Worker } from 'node:worker_threads';

/**
 * Ends this process soon after its parent has died. The end of the IPC channel is an event, and an event does not reach a thread that user
 * code blocks for ever; this watches from a thread of its own, which keeps nothing alive.
 */
export function endWithParent(): void {
  const watch = `
    const parent = process.ppid;
    setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, 1000);
  `;
  new Worker(watch, { eval: true, execArgv: [], stdout: false, stderr: false }).unref();
}
