import type { RowSchema } from '@millrace/core/runtime';
import { type SqlType, sqlType } from './sql-type.ts';

/** Bytes that all columns of an index may have together, as InnoDB counts them (four for a character of utf8mb4), less what a history adds. */
const indexBytes = 3_072 - 32;
const characterBytes = 4;
/** What a column without characters takes in an index, at most: decimal(65,30). */
const plainBytes = 30;

/**
 * The types of a table's key columns, where they are others than those of its other columns: an index holds no `longtext` and no `longblob`,
 * so text and bytes without a length share what room there is. A value that is longer is refused when it comes.
 */
export function keyTypes({ columns, key = [] }: RowSchema): ReadonlyMap<string, SqlType> {
  const made = key.flatMap((name) => {
    const column = columns.find((one) => one.name === name);
    return column ? [{ name, found: sqlType(column.type) }] : [];
  });
  const unbounded = made.filter(({ found }) => 'sql' in found && /^(longtext|longblob)$/.test(found.sql));
  const room = indexBytes - made.reduce((sum, { found }) => sum + bytesOf(found), 0);
  const share = Math.floor(room / Math.max(1, unbounded.length));
  return new Map(
    made.flatMap(({ name, found }): [string, SqlType][] => {
      if (!('sql' in found)) return [];
      if (found.sql === 'json')
        return [[name, { refused: 'an index of MySQL holds no json', remedy: 'Choose another key, or declare the column varchar(n).' }]];
      if (found.sql !== 'longtext' && found.sql !== 'longblob') return [];
      if (share < characterBytes)
        return [
          [name, { refused: 'the key is wider than an index of MySQL', remedy: 'Declare the texts of the key shorter: varchar(n).' }],
        ];
      const sql = found.sql === 'longtext' ? `varchar(${Math.floor(share / characterBytes)})` : `varbinary(${share})`;
      return [[name, { sql, kept: found.kept === 'text' ? 'text' : 'range' }]];
    }),
  );
}

function bytesOf(type: SqlType): number {
  if (!('sql' in type) || /^(longtext|longblob|json)$/.test(type.sql)) return 0;
  const characters = /^(?:var)?char\((\d+)\)$/.exec(type.sql)?.[1];
  return characters === undefined ? plainBytes : Number(characters) * characterBytes;
}
