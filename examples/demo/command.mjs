// Runs the millrace command as a user would: as processes, from a folder of the demo.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../../packages/cli/bin/millrace.js', import.meta.url));
const folder = fileURLToPath(new URL('.', import.meta.url));

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();

/**
 * Commands in a folder of the demo, with these variables.
 * @param {string} place
 * @param {Record<string, string>} variables
 */
export function commands(place, variables = {}) {
  const project = { cwd: join(folder, place), env: { ...process.env, ...variables } };

  /** Shows the command and what it prints. @param {string[]} args @returns {Promise<number>} its exit code */
  function millrace(...args) {
    console.log(`\n$ millrace ${args.join(' ')}`);
    return ended(start(args, { ...project, stdio: 'inherit' }));
  }

  /** What a command answers with --json. @param {string[]} args */
  async function answer(...args) {
    const child = start([...args, '--json'], { ...project, stdio: ['ignore', 'pipe', 'inherit'] });
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
  async function killedWhen(args, when) {
    console.log(`\n$ millrace ${args.join(' ')}`);
    const child = start([...args, '--json'], { ...project, stdio: ['ignore', 'pipe', 'inherit'], detached: true });
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

  return { millrace, answer, killedWhen };
}

/** Ends what is still running. */
export function stopAll() {
  for (const child of running) child.kill('SIGTERM');
}

/** @param {string[]} args @param {import('node:child_process').SpawnOptions} options */
function start(args, options) {
  const child = spawn(process.execPath, [bin, ...args], options);
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
