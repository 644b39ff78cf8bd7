import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { MillraceError } from '@millrace/core';
import { watchMemory } from './memory.ts';

/** A process of `cdc-lane.ts`. */
export interface Child {
  readonly process: ChildProcess;
  readonly lines: string[];
  readonly ended: Promise<number | null>;
  readonly memory: ReturnType<typeof watchMemory>;
}

/** In development the sources run as they are. */
const own = import.meta.url.endsWith('.ts')
  ? { file: 'cdc-lane.ts', flags: ['--conditions=millrace-source', '--import', 'tsx'] }
  : { file: 'cdc-lane.js', flags: [] };

/** Started, and ready to go. */
export async function started(
  work: 'attach' | 'drain' | 'apply' | 'copy',
  { source, target, table }: { readonly source: string; readonly target: string; readonly table: string },
  after = '',
): Promise<Child> {
  const child = spawn(process.execPath, [...own.flags, path.join(import.meta.dirname, own.file), work, table, after], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, MILLRACE_BENCH_SOURCE: source, MILLRACE_BENCH_TARGET: target },
  });
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => (line === 'ready' ? resolve() : lines.push(line)));
    ended.then(() => reject(wrong(`The process for ${work} ended before it began.`)), reject);
  });
  return { process: child, lines, ended, memory: watchMemory(child.pid as number) };
}

export const wrong = (message: string): MillraceError => new MillraceError('INTERNAL', { message, remedy: 'Please report it.' });
