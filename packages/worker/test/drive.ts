import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { TestProject } from './project.ts';

const driver = fileURLToPath(new URL('./fixtures/drive.mjs', import.meta.url));

/** A worker in a process of its own, which runs a pipeline file of the project; bundled as the stages it starts, see test/bundled-packages.ts. */
export function drive(
  { state, directory }: TestProject,
  file: string,
  env: Readonly<Record<string, string>> = {},
): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, ['--no-warnings', driver, state, directory, file], {
    env: { ...process.env, NODE_OPTIONS: '--conditions=millrace-bundled', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
