// Runs the millrace command as a user would: as a process, from the folder of the demo.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../../packages/cli/bin/millrace.js', import.meta.url));
const folder = fileURLToPath(new URL('.', import.meta.url));

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();

/** Shows the command and what it prints. @param {string[]} args @returns {Promise<number>} its exit code */
export function millrace(...args) {
  console.log(`\n$ millrace ${args.join(' ')}`);
  return ended(start(args, 'inherit'));
}

/** What a command answers with --json. @param {string[]} args */
export async function answer(...args) {
  const child = start([...args, '--json'], ['ignore', 'pipe', 'inherit']);
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  const code = await ended(child);
  if (code !== 0) throw new Error(`millrace ${args.join(' ')} ended with ${code}: ${text}`);
  return JSON.parse(text);
}

/**
 * Starts a command in a process group of its own, and kills the whole group (SIGKILL: nobody can say good-bye) as soon as `when`
 * says so of an event.
 * @param {string[]} args
 * @param {(event: any) => boolean} when
 * @returns {Promise<any>} the event
 */
export async function killedWhen(args, when) {
  console.log(`\n$ millrace ${args.join(' ')}`);
  const child = start([...args, '--json'], ['ignore', 'pipe', 'inherit'], true);
  const end = ended(child);
  let last;
  for await (const line of createInterface({ input: /** @type {NodeJS.ReadableStream} */ (child.stdout) })) {
    const event = JSON.parse(line);
    if (last || !when(event)) continue;
    last = event;
    process.kill(-(/** @type {number} */ (child.pid)), 'SIGKILL');
  }
  const code = await end;
  if (!last) throw new Error(`The run was over (exit code ${code}) before it could be killed.`);
  return last;
}

/** Ends what is still running. */
export function stopAll() {
  for (const child of running) child.kill('SIGTERM');
}

/** @param {string[]} args @param {import('node:child_process').StdioOptions} stdio */
function start(args, stdio, detached = false) {
  const child = spawn(process.execPath, [bin, ...args], { cwd: folder, stdio, detached });
  running.add(child);
  return child;
}

/** @param {import('node:child_process').ChildProcess} child @returns {Promise<number>} */
function ended(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      running.delete(child);
      resolve(code ?? -1);
    });
  });
}
