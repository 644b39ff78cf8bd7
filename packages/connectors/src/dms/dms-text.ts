import { type baseType, MillraceError } from '@millrace/core/runtime';

type BaseType = ReturnType<typeof baseType>;

/**
 * A field as DMS writes it, as text that files of ours may hold too. `x` is SQL; so is the answer.
 *
 * | column            | DMS                                            | here                                   |
 * |-------------------|------------------------------------------------|----------------------------------------|
 * | bool              | `true`, `t`, `1` and their opposites           | the same                               |
 * | numeric(p, s)     | more zeros behind the point than `s`           | without them; other digits are refused |
 * | timestamp         | up to nine digits behind the second            | six; other digits are refused          |
 * | timestamptz       | the same, in UTC, without a zone               | with `+00`                             |
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
    case 'timestamp':
      return micros(x);
    case 'timestamptz':
      return `CASE WHEN regexp_matches(${x}, '(Z|[-+]\\d\\d(:?\\d\\d)?|infinity)$') AND NOT regexp_full_match(${x}, '\\d{4}-\\d\\d-\\d\\d') THEN ${x} ELSE ${micros(x)} || '+00' END`;
    case 'bytea':
      return binary === 'base64'
        ? `CASE WHEN regexp_full_match(${x}, '([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?') THEN '\\x' || lower(hex(from_base64(${x}))) ELSE ${x} END`
        : `CASE WHEN starts_with(${x}, '\\x') THEN ${x} ELSE '\\x' || ${x} END`;
    default:
      return x;
  }
}

const micros = (x: string): string => `regexp_replace(${x}, '(\\.\\d{6})0+$', '\\1')`;

/** What was cut is not the value. */
export function cutProblem(column: string, label: string, kilobytes: number): MillraceError {
  return new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `${label}: a value of "${column}" has ${kilobytes} kB as DMS counts them, which is where it cuts large values without a word.`,
    remedy: `Raise lobKilobytes in dms() and LobMaxSize of the task above the longest value of "${column}", then run "millrace resync".`,
    facts: { file: label, column, kilobytes },
  });
}
