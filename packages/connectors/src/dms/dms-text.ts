import { type baseType, MillraceError } from '@millrace/core/runtime';

type BaseType = ReturnType<typeof baseType>;

/**
 * A field as DMS writes it, as text that files of ours may hold too. `x` is SQL; so is the answer.
 *
 * | column            | DMS                                            | here                                   |
 * |-------------------|------------------------------------------------|----------------------------------------|
 * | bool              | `true`, `t`, `1` and their opposites           | the same                               |
 * | numeric(p, s)     | more zeros behind the point than `s`           | without them; other digits are refused |
 * | timestamptz       | UTC, without a zone                            | with `+00`                             |
 * | bytea             | hexadecimal digits, with `\x` or without       | `\x…`                                  |
 * | bytea, `base64`   | base64                                         | `\x…`                                  |
 */
export function dmsText(type: BaseType, x: string, binary: 'hex' | 'base64'): string {
  switch (type.kind) {
    case 'numeric':
      return type.precision === undefined ? x : `regexp_replace(regexp_replace(${x}, '^(-?\\d+\\.\\d*?)0+$', '\\1'), '\\.$', '')`;
    case 'int2':
    case 'int4':
    case 'int8':
      return `regexp_replace(${x}, '\\.0*$', '')`;
    case 'timestamptz':
      return `CASE WHEN regexp_matches(${x}, '(Z|[-+]\\d\\d(:?\\d\\d)?|infinity)$') AND NOT regexp_full_match(${x}, '\\d{4}-\\d\\d-\\d\\d') THEN ${x} ELSE ${x} || '+00' END`;
    case 'bytea':
      return binary === 'base64'
        ? `'\\x' || lower(hex(from_base64(${x})))`
        : `CASE WHEN starts_with(${x}, '\\x') THEN ${x} ELSE '\\x' || ${x} END`;
    default:
      return x;
  }
}

/** What was cut is not the value. DMS counts in bytes or in characters of three, and does not split a character. */
export function cutProblem(column: string, label: string, kilobytes: number): MillraceError {
  return new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `${label}: a value of "${column}" is ${kilobytes} kB long, which is where DMS cuts large values without a word.`,
    remedy: `Raise lobKilobytes in dms() and LobMaxSize of the task above the longest value of "${column}", then run "millrace resync".`,
    facts: { file: label, column, kilobytes },
  });
}
