import { MillraceError } from '@millrace/core/runtime';

/** A pattern for keys: `*` and `?` within a path's part, `**` across parts, `[a-z]`, `{csv,txt}`. */
export interface Glob {
  /** What every match begins with: where a listing starts. */
  readonly prefix: string;
  matches(key: string): boolean;
}

/** @throws PIPELINE_INVALID */
export function glob(pattern: string): Glob {
  const tidy = pattern.replace(/^(\.?\/)+/, '');
  if (tidy === '' || tidy.split('/').includes('..')) throw invalid(pattern, 'it names nothing under the place of the connection');
  const special = tidy.search(/[*?[{]/);
  const expression = new RegExp(`^${translated(tidy, pattern)}$`, 's');
  return { prefix: special < 0 ? tidy : tidy.slice(0, special), matches: (key) => expression.test(key) };
}

function translated(glob: string, pattern: string): string {
  let out = '';
  let open = 0;
  for (let at = 0; at < glob.length; at++) {
    const rest = glob.slice(at);
    const set = /^\[([!^]?)([^\]/]+)\]/.exec(rest);
    if (rest.startsWith('**/')) {
      out += '(?:.*/)?';
      at += 2;
    } else if (rest.startsWith('**')) {
      out += '.*';
      at += 1;
    } else if (glob[at] === '*') out += '[^/]*';
    else if (glob[at] === '?') out += '[^/]';
    else if (set) {
      out += `[${set[1] ? '^' : ''}${set[2]!.replace(/[\\\]^]/g, '\\$&')}]`;
      at += set[0].length - 1;
    } else if (glob[at] === '{') {
      out += '(?:';
      open++;
    } else if (glob[at] === '}' && open > 0) {
      out += ')';
      open--;
    } else if (glob[at] === ',' && open > 0) out += '|';
    else out += glob[at]!.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  }
  if (open > 0) throw invalid(pattern, 'a "{" is not closed');
  return out;
}

const invalid = (pattern: string, why: string): MillraceError =>
  new MillraceError('PIPELINE_INVALID', {
    message: `The pattern "${pattern}" cannot be used: ${why}.`,
    remedy: "Write it like 'raw/orders/*.parquet' or 'raw/**/*.{csv,csv.gz}'.",
  });
