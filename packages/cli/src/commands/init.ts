import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { projectFiles } from '../init/files.ts';
import type { Session } from '../session.ts';

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
  for (const [path, text] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    // 'wx': whoever made the file in the meantime keeps it.
    writeFileSync(join(root, path), text, { flag: 'wx' });
    terminal.print(`${terminal.out.green('+')} ${path}`);
  }
  const folder = relative(session.calledFrom, root);
  const go = [...(folder ? [`cd ${folder}`] : []), 'npm install', 'npx millrace run daily-sales'];
  terminal.say(`\nNext: ${go.join(' && ')}`);
  terminal.emit({ directory: root, files: files.map(([path]) => path) });
  return exitCodes.ok;
}

/** npm's rules: lower case, no blanks, no leading dot. */
function projectName(root: string): string {
  const name = basename(root)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+|-+$/g, '');
  return name || 'pipelines';
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
