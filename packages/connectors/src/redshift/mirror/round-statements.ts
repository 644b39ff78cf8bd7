import { quote } from '../name.ts';
import type { Round } from './rounds.ts';
import { deletedAt, type MirrorMode } from './settings.ts';
import { staged } from './staged-rows.ts';

/** A table to write to and staged rows that have landed beside it, as these statements need them. */
export interface Writing {
  /** Quoted, with its schema. */
  readonly table: string;
  /** Staged rows as a FROM clause takes them: `staged` columns, and the others as values of the table's types. */
  readonly landed: string;
  /** Columns of the table that the rows bring, in one order everywhere. */
  readonly columns: readonly string[];
  /** The columns of the staged rows, by which `known` counts. */
  readonly stagedColumns: readonly string[];
  readonly key: readonly string[];
  readonly mode: MirrorMode;
}

export interface RoundStatements {
  readonly before: readonly string[];
  /** Counts changes whose unknown values nobody has: then nothing may be written. Null where every value is known. */
  readonly missing: string | null;
  readonly after: readonly string[];
  readonly temporary: readonly string[];
}

const [number, act, known, at] = [staged.number, staged.act, staged.known, staged.at].map((name) => quote(name)) as [
  string,
  string,
  string,
  string,
];
const last = quote('__millrace_last');
const kept = quote('__millrace_put');
const gone = quote('__millrace_gone');
const anew = quote('__millrace_anew');
const end = quote(deletedAt);
const list = (columns: readonly string[], of = ''): string => columns.map((name) => `${of}${quote(name)}`).join(', ');
const lacks = (place: number): string => quote(`__millrace_lacks_${place}`);
const knownAt = (place: number): string => quote(`__millrace_known_${place}`);
const old = (place: number): string => quote(`__millrace_old_${place}`);

const within = ({ from, to }: Round, s: string): string => `${s}.${number} >= ${from} AND ${s}.${number} < ${to}`;
const sameKey = (key: readonly string[], left: string, right: string): string =>
  key.map((name) => `${left}.${quote(name)} = ${right}.${quote(name)}`).join(' AND ');

/**
 * What Redshift and Postgres both understand: no ON CONFLICT, no alias of the table that is written, no TRUNCATE, which commits in
 * Redshift. Rows are brought into the table by INSERT alone, which refuses what does not fit where a cast would cut it.
 */
export function changeStatements(round: Round, id: number, writing: Writing): RoundStatements {
  const { table, landed, columns, key, mode } = writing;
  const keys = quote(`__millrace_keys_${id}`);
  const soft = mode === 'soft-delete';
  const unknown = columns.filter((name) => round.unknown.has(name));
  const compacted = `CREATE TEMP TABLE ${keys} AS SELECT ${list(key, 's.')}, max(s.${number}) AS ${last}, max(CASE WHEN s.${act} = 'p' THEN s.${number} END) AS ${kept} FROM ${landed} AS s WHERE ${within(round, 's')} AND s.${act} IN ('p', 'd') GROUP BY ${list(key, 's.')}`;
  const written = soft
    ? [
        `UPDATE ${table} SET ${end} = d.${at} FROM ${keys} AS k, ${landed} AS d WHERE d.${number} = k.${last} AND k.${kept} IS NULL AND ${table}.${end} IS NULL AND ${sameKey(key, table, 'k')}`,
        `DELETE FROM ${table} USING ${keys} AS k WHERE k.${kept} IS NOT NULL AND ${sameKey(key, table, 'k')}`,
      ]
    : [`DELETE FROM ${table} USING ${keys} AS k WHERE ${sameKey(key, table, 'k')}`];
  if (unknown.length > 0) return completed(round, id, writing, unknown, { keys, before: [compacted, `ANALYZE ${keys}`], written });
  const { into, ended, from, where } = putRows(writing, keys);
  const values = [list(columns, 's.'), ...ended].join(', ');
  return {
    before: [compacted, `ANALYZE ${keys}`],
    missing: null,
    after: [...written, `INSERT INTO ${table} (${into.join(', ')}) SELECT ${values} FROM ${from}${where}`],
    temporary: [keys],
  };
}

/** The last row that was put for each key, where it stays, or is to be kept as a deleted one. */
function putRows({ landed, columns, mode }: Writing, keys: string) {
  const soft = mode === 'soft-delete';
  return {
    into: [...columns.map((name) => quote(name)), ...(soft ? [end] : [])],
    ended: soft ? [`CASE WHEN k.${kept} = k.${last} THEN NULL ELSE d.${at} END`] : [],
    from: `${keys} AS k JOIN ${landed} AS s ON s.${number} = k.${kept}${soft ? ` JOIN ${landed} AS d ON d.${number} = k.${last}` : ''}`,
    where: soft ? '' : ` WHERE k.${kept} = k.${last}`,
  };
}

interface Compacted {
  readonly keys: string;
  readonly before: readonly string[];
  readonly written: readonly string[];
}

/**
 * Where the last row does not say all values, each comes from the last one before it that says it, or from the row in the table; but none
 * from a row that was deleted in between.
 */
function completed(
  round: Round,
  id: number,
  writing: Writing,
  unknown: readonly string[],
  { keys, before, written }: Compacted,
): RoundStatements {
  const { table, landed, columns, stagedColumns, key, mode } = writing;
  const [sources, fresh] = [quote(`__millrace_sources_${id}`), quote(`__millrace_fresh_${id}`)];
  const place = (name: string): number => stagedColumns.indexOf(name) + 1;
  const lastKnown = unknown.map(
    (name) =>
      `max(CASE WHEN s.${act} = 'p' AND (s.${known} IS NULL OR SUBSTRING(s.${known}, ${place(name)}, 1) = '1') THEN s.${number} END) AS ${knownAt(place(name))}`,
  );
  const grouped = [list(key, 'k.'), `k.${last}`, `k.${kept}`].join(', ');
  const isKnown = (name: string) => `k.${knownAt(place(name))} > coalesce(k.${gone}, -1)`;
  const { into, ended, from, where } = putRows(writing, sources);
  const values = columns.map((name) => (unknown.includes(name) ? `u${place(name)}.${quote(name)}` : `s.${quote(name)}`));
  const flags = unknown.map((name) => `CASE WHEN ${isKnown(name)} THEN false ELSE true END`);
  const earlier = unknown.map(
    (name) => ` LEFT JOIN ${landed} AS u${place(name)} ON u${place(name)}.${number} = k.${knownAt(place(name))} AND ${isKnown(name)}`,
  );
  const columnsOfFresh = [...into, ...unknown.map((name) => lacks(place(name))), anew].join(', ');
  return {
    before: [
      ...before,
      `CREATE TEMP TABLE ${sources} AS SELECT ${grouped}, max(CASE WHEN s.${act} = 'd' AND s.${number} < k.${kept} THEN s.${number} END) AS ${gone}, ${lastKnown.join(', ')} FROM ${keys} AS k JOIN ${landed} AS s ON ${sameKey(key, 'k', 's')} WHERE ${within(round, 's')} GROUP BY ${grouped}`,
      `CREATE TEMP TABLE ${fresh} AS SELECT ${[...into, ...unknown.map((name) => `false AS ${lacks(place(name))}`), `false AS ${anew}`].join(', ')} FROM ${table} WHERE false`,
      `INSERT INTO ${fresh} (${columnsOfFresh}) SELECT ${[...values, ...ended, ...flags, `k.${gone} IS NOT NULL`].join(', ')} FROM ${from}${earlier.join('')}${where}`,
      taken(fresh, table, { unknown, place, key }, `NOT ${fresh}.${anew} AND ${sameKey(key, 't', fresh)}${there(mode)}`),
    ],
    missing: missing(fresh, table, { unknown, place, key }, `${sameKey(key, 't', 'f')}${there(mode)}`, `f.${anew} OR `),
    after: [...written, `INSERT INTO ${table} (${into.join(', ')}) SELECT ${into.join(', ')} FROM ${fresh}`],
    temporary: [keys, sources, fresh],
  };
}

/** A deleted row that is kept is not there any more. */
const there = (mode: MirrorMode): string => (mode === 'soft-delete' ? ` AND t.${end} IS NULL` : '');

/** Rows that get another key take what is not known along from where they were. All at once: rows may change places. */
export function moveStatements(round: Round, id: number, writing: Writing): RoundStatements {
  const { table, landed, columns, stagedColumns, key, mode } = writing;
  const moved = quote(`__millrace_moved_${id}`);
  const unknown = columns.filter((name) => round.unknownOfMoves.has(name));
  const place = (name: string): number => stagedColumns.indexOf(name) + 1;
  const oldKey = key.map((_, index) => old(index));
  const before = (left: string, right: string) => key.map((name, index) => `${left}.${quote(name)} = ${right}.${old(index)}`).join(' AND ');
  const shape = [
    list(columns),
    ...unknown.map((name) => `false AS ${lacks(place(name))}`),
    ...key.map((name, index) => `${quote(name)} AS ${old(index)}`),
    `CAST(NULL AS timestamptz) AS ${at}`,
  ];
  const into = [list(columns), ...unknown.map((name) => lacks(place(name))), ...oldKey, at].join(', ');
  const values = [
    list(columns, 't.'),
    ...unknown.map((name) => `SUBSTRING(t.${known}, ${place(name)}, 1) = '0'`),
    list(key, 'f.'),
    `t.${at}`,
  ].join(', ');
  return {
    before: [
      `CREATE TEMP TABLE ${moved} AS SELECT ${shape.join(', ')} FROM ${table} WHERE false`,
      `INSERT INTO ${moved} (${into}) SELECT ${values} FROM ${landed} AS t JOIN ${landed} AS f ON f.${number} = t.${number} - 1 WHERE t.${act} = 't' AND ${within(round, 't')}`,
      taken(moved, table, { unknown, place, key }, `${before('t', moved)}${there(mode)}`),
    ],
    missing: missing(moved, table, { unknown, place, key }, `${before('t', 'f')}${there(mode)}`),
    after: [
      mode === 'soft-delete'
        ? `UPDATE ${table} SET ${end} = m.${at} FROM ${moved} AS m WHERE ${before(table, 'm')}`
        : `DELETE FROM ${table} USING ${moved} AS m WHERE ${before(table, 'm')}`,
      `DELETE FROM ${table} USING ${moved} AS m WHERE ${sameKey(key, table, 'm')}`,
      `INSERT INTO ${table} (${list(columns)}) SELECT ${list(columns)} FROM ${moved}`,
    ],
    temporary: [moved],
  };
}

interface Lacking {
  readonly unknown: readonly string[];
  /** Of a column among those that are staged, from 1. */
  readonly place: (name: string) => number;
  readonly key: readonly string[];
}

function taken(rows: string, table: string, { unknown, place }: Lacking, same: string): string {
  const sets = unknown.map(
    (name) => `${quote(name)} = CASE WHEN ${rows}.${lacks(place(name))} THEN t.${quote(name)} ELSE ${rows}.${quote(name)} END`,
  );
  return `UPDATE ${rows} SET ${sets.join(', ')} FROM ${table} AS t WHERE (${unknown.map((name) => `${rows}.${lacks(place(name))}`).join(' OR ')}) AND ${same}`;
}

/** `same` joins a row that lacks values, `f`, to the one that is to lend them, `t`; a row that was `anew` gets them from nobody. */
const missing = (rows: string, table: string, { unknown, place, key }: Lacking, same: string, isAnew = ''): string =>
  `SELECT count(*) AS missing FROM ${rows} AS f LEFT JOIN ${table} AS t ON ${same} WHERE (${unknown.map((name) => `f.${lacks(place(name))}`).join(' OR ')}) AND (${isAnew}t.${quote(key[0] ?? '')} IS NULL)`;

/** Everything that is there gives way to the rows of a copy. Rows that it does not have are deleted ones. */
export function copyStatements(writing: Writing, time: string): string[] {
  const { table, landed, columns, key, mode } = writing;
  const same = sameKey(key, 's', table);
  const among = `EXISTS (SELECT 1 FROM ${landed} AS s WHERE ${same})`;
  return [
    ...(mode === 'soft-delete'
      ? [
          `UPDATE ${table} SET ${end} = CAST(${time} AS timestamptz) WHERE ${end} IS NULL AND NOT ${among}`,
          `DELETE FROM ${table} WHERE ${among}`,
        ]
      : [`DELETE FROM ${table}`]),
    `INSERT INTO ${table} (${list(columns)}) SELECT ${list(columns, 's.')} FROM ${landed} AS s`,
  ];
}

export function truncateStatement(table: string, mode: MirrorMode, time: string): string {
  return mode === 'soft-delete' ? `UPDATE ${table} SET ${end} = CAST(${time} AS timestamptz) WHERE ${end} IS NULL` : `DELETE FROM ${table}`;
}
