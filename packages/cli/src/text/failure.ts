import { isMillraceError, type StoredError, storeError } from '@millrace/core/runtime';
import type { Colours } from '../terminal.ts';

/** Where the manual entry of an error stands. */
export function manualOf(code: string): string {
  return `docs/errors.md#${code.toLowerCase()}`;
}

/** One block for one error: what happened, the next thing to do, its code and where the manual speaks of it. */
export function failureBlock(error: unknown, colours: Colours, options: { readonly debug?: boolean } = {}): string {
  const stored = storedError(error);
  const [first = '', ...rest] = stored.message.split('\n');
  const lines = [
    `${colours.red(colours.bold('error'))} ${colours.bold(first)}`,
    ...rest.map((line) => `      ${line}`),
    `   ${colours.green('do')} ${stored.remedy.split('\n').join('\n      ')}`,
    colours.dim(` code ${stored.code} · ${manualOf(stored.code)}`),
  ];
  if (options.debug) lines.push('', ...traces(error).map((line) => colours.dim(line)));
  return lines.join('\n');
}

/** The same for programs. */
export function failureJson(error: unknown): Record<string, unknown> {
  const { code, message, remedy, facts } = storedError(error);
  return { error: { code, message, remedy, facts, manual: manualOf(code) } };
}

/** An error without a code is a bug or the user's own: its first line is for the block, its stack for `--debug`. */
export function storedError(error: unknown): StoredError {
  if (isMillraceError(error)) return storeError(error);
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'INTERNAL', message, remedy: 'Run it again with --debug and report what it prints.', facts: {} };
}

function traces(error: unknown): string[] {
  const lines: string[] = [];
  for (let at: unknown = error, depth = 0; at !== undefined && at !== null && depth < 8; depth++) {
    lines.push(
      ...(at instanceof Error ? (at.stack ?? at.message) : String(at))
        .split('\n')
        .map((line, index) => (depth > 0 && index === 0 ? `caused by ${line}` : line)),
    );
    at = at instanceof Error ? at.cause : undefined;
  }
  return lines;
}
