import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { projectFiles } from '../init/files.ts';
import type { Session } from '../session.ts';
import { version } from '../version.ts';

/** Writes a project, all of it or nothing: a file that is there already is not touched. */
export async function init(session: Session, dir = '.'): Promise<ExitCode> {
  const { terminal } = session;
  const root = resolve(session.calledFrom, dir);
  const files = Object.entries(projectFiles(projectName(root), version()));
  const there = files.map(([path]) => path).filter((path) => existsSync(join(root, path)));
  if (there.length > 0) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `${root} has ${there.join(', ')} already; nothing was written.`,
      remedy: 'Name an empty or a new folder: millrace init my-pipelines.',
    });
  }
  write(root, files);
  for (const [path] of files) terminal.print(`${terminal.out.green('+')} ${path}`);
  const folder = relative(session.calledFrom, root);
  const go = [...(folder ? [`cd ${shellWord(folder)}`] : []), 'npm install', 'npx millrace run daily-sales'];
  terminal.say(`\nNext: ${go.join(' && ')}`);
  terminal.emit({ directory: root, files: files.map(([path]) => path) });
  return exitCodes.ok;
}

function write(root: string, files: readonly (readonly [path: string, text: string])[]): void {
  const made: string[] = [];
  try {
    for (const [path, text] of files) {
      const file = join(root, path);
      // The topmost folder that this makes, if any: with it goes everything below.
      const folder = mkdirSync(dirname(file), { recursive: true });
      if (folder) made.push(folder);
      // 'wx': whoever made the file in the meantime keeps it.
      writeFileSync(file, text, { flag: 'wx' });
      made.push(file);
    }
  } catch (cause) {
    for (const path of made.reverse()) rmSync(path, { recursive: true, force: true });
    throw new MillraceError('CONFIG_INVALID', {
      message: `The project cannot be written to ${root}: ${(cause as Error).message}. Nothing was left there.`,
      remedy: 'Name a folder in which you may write: millrace init my-pipelines.',
      cause,
    });
  }
}

const shellWord = (word: string): string => (/^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** npm's rules: lower case, no blanks, no leading dot. */
function projectName(root: string): string {
  const name = basename(root)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+|-+$/g, '');
  return name || 'pipelines';
}
