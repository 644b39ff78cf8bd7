import { rm, symlink, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { baseType, type ColumnSchema, isMillraceError, MillraceError, typeName } from '@millrace/core/runtime';
import { type ConversionContext, spoolName } from '../duckdb/conversion.ts';
import { runWith } from '../duckdb/inlet.ts';
import { lease } from '../duckdb/pool.ts';
import type { DuckDb } from '../duckdb/process.ts';
import { literal, refuse } from '../duckdb/sql.ts';
import { cutProblem } from './dms-text.ts';
import { isCut, isLob, lobTextBytes } from './dms-types.ts';
import { dmsQuery, type LocalFile, type TableReading } from './read-file.ts';

const rowBytes = 32 * 1024 * 1024;
/** How files for `decodeCsv` are written. */
export const canonicalCsv = `(FORMAT csv, HEADER false, DELIMITER ',', QUOTE '"', ESCAPE '"', NULLSTR '', COMPRESSION 'none', USE_TMP_FILE false)`;

export interface StampedFile {
  readonly stamp: string;
  readonly local: LocalFile;
}

/** What a file of changes holds: rows, and the first and last of their numbers. Of an empty one both are ''. */
export interface FileFacts {
  readonly rows: number;
  readonly low: string;
  readonly high: string;
}

/** Changes of one commit of the source that follow one another. */
export interface Run {
  readonly first: number;
  readonly last: number;
  readonly rows: number;
  /** `yyyy-MM-dd HH:mm:ss.SSSSSS`, the source's clock. */
  readonly ts: string;
}

export interface Converted {
  readonly facts: readonly FileFacts[];
  readonly runs: readonly Run[];
  /** Of each table that has any: canonical CSV of place, operation and columns, in the order of the places. The reader removes it. */
  readonly paths: ReadonlyMap<string, string>;
}

export interface ConvertRequest {
  readonly tables: ReadonlyMap<string, TableReading>;
  /** In the order of their stamps. */
  readonly files: readonly StampedFile[];
  /** Which of the files read before may have the same changes or later ones of the same rows. */
  readonly earlier: (facts: readonly FileFacts[]) => Promise<readonly StampedFile[]>;
  /** `sequence`: by their numbers; `file`: as they stand in the files, which is the order of the source's transactions. */
  readonly order: 'sequence' | 'file';
  readonly lobKilobytes: (table: string) => number;
}

const transactionPlaces = 1_000_000_000_000;

/**
 * Puts the changes of some files in order, and leaves out what was there before: a change that an earlier file had already, and one of a row
 * of which an earlier file had a later change. So the state after a file is the same in whatever order files come, and however often.
 */
export async function convertChanges(request: ConvertRequest, context: ConversionContext): Promise<Converted> {
  await using work = await Workshop.open(context);
  const names = [...request.tables.keys()];
  const facts = request.files.map(() => ({ rows: 0, low: '', high: '' }));
  for (const [at, name] of names.entries()) {
    const table = request.tables.get(name) as TableReading;
    await work.fill(`n${at}`, table, request.files);
    await checkCut(work.duckdb, `n${at}`, table, request.lobKilobytes(name), request.files);
    for (const row of await work.duckdb.run(`SELECT file, count(*), min(seq), max(seq) FROM n${at} GROUP BY file`)) {
      const one = facts[Number(row[0])] as { rows: number; low: string; high: string };
      const [low, high] = [String(row[2]), String(row[3])];
      if (one.rows === 0 || low < one.low) one.low = low;
      if (one.rows === 0 || high > one.high) one.high = high;
      one.rows += Number(row[1]);
    }
  }
  const earlier = await request.earlier(facts);
  const paths = new Map<string, string>();
  const kept: string[] = [];
  for (const [at, name] of names.entries()) {
    const table = request.tables.get(name) as TableReading;
    let from = `SELECT * FROM n${at} WHERE NOT EXISTS (SELECT 1 FROM n${at} AS e WHERE e.seq = n${at}.seq AND e.sig = n${at}.sig AND e.file < n${at}.file)`;
    if (earlier.length > 0) {
      await work.fill(`o${at}`, table, earlier);
      from = `SELECT n.* FROM (${from}) AS n WHERE ${newsAmong(`o${at}`, table)}`;
    }
    const place =
      request.order === 'sequence' ? 'row_number() OVER (ORDER BY seq, file, nr)' : `CAST(file AS BIGINT) * ${transactionPlaces} + nr`;
    await work.duckdb.run(`CREATE TEMP TABLE p${at} AS SELECT ${place} AS place, * FROM (${from})`);
    const output = spoolName('changes', '.csv');
    const columns = table.schema.columns.map((column, index) => checkedNull(column, index)).join(', ');
    const [copied] = await work.duckdb.run(
      `COPY (SELECT place, op, ${columns} FROM p${at} ORDER BY place) TO ${literal(output)} ${canonicalCsv}`,
    );
    const path = join(context.spool, output);
    if (Number(copied?.[0]) === 0) {
      await rm(path, { force: true });
      continue;
    }
    kept.push(`SELECT place, ts FROM p${at}`);
    paths.set(name, path);
  }
  return { facts, runs: await runsOf(work.duckdb, kept), paths };
}

/** Nothing later of the same row, and not the same change. Numbers and stamps are compared as one text. */
function newsAmong(earlier: string, { schema }: TableReading): string {
  const keys = (schema.key ?? []).map((name) => `c${schema.columns.findIndex((column) => column.name === name)}`);
  const latest = `SELECT ${keys.join(', ')}, max(concat(seq, chr(1), stamp)) AS latest FROM ${earlier} GROUP BY ALL`;
  return `NOT EXISTS (SELECT 1 FROM (${latest}) AS l WHERE ${keys.map((key) => `l.${key} = n.${key}`).join(' AND ')} AND l.latest > concat(n.seq, chr(1), n.stamp))
    AND NOT EXISTS (SELECT 1 FROM ${earlier} AS o WHERE o.seq = n.seq AND o.sig = n.sig)`;
}

/** A column of `op`, `c0`, `c1`, …, where NULL must not stand in a row that is there. */
export function checkedNull(column: ColumnSchema, index: number): string {
  return column.nullable
    ? `c${index}`
    : `CASE WHEN op <> 'D' AND c${index} IS NULL THEN ${refuse('missing', column.name, typeName(column.type), "''")} ELSE c${index} END`;
}

async function runsOf(duckdb: DuckDb, tables: readonly string[]): Promise<Run[]> {
  if (tables.length === 0) return [];
  const all = tables.join(' UNION ALL ');
  const marked = `SELECT place, ts, CASE WHEN ts IS DISTINCT FROM lag(ts) OVER (ORDER BY place) THEN 1 ELSE 0 END AS begins FROM (${all})`;
  const numbered = `SELECT place, ts, sum(begins) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) AS island FROM (${marked})`;
  const rows = await duckdb.run(`SELECT min(place), max(place), count(*), min(ts) FROM (${numbered}) GROUP BY island ORDER BY 1`);
  return rows.map(([first, last, count, ts]) => ({ first: Number(first), last: Number(last), rows: Number(count), ts: String(ts) }));
}

/** @throws VALUE_UNREPRESENTABLE for a value as long as DMS leaves it */
export async function checkCut(
  duckdb: DuckDb,
  from: string,
  { schema }: TableReading,
  kilobytes: number,
  files: readonly StampedFile[],
): Promise<void> {
  const lobs = schema.columns.flatMap(({ name, type }, index) =>
    isLob(type) ? [{ name, length: lengthOf(baseType(type).kind === 'bytea', `c${index}`) }] : [],
  );
  if (lobs.length === 0) return;
  const [row] = await duckdb.run(`SELECT ${lobs.map(({ length }) => `max(${length})`).join(', ')} FROM ${from}`);
  const cut = lobs.findIndex((_, at) => isCut(Number(row?.[at] ?? 0), kilobytes));
  if (cut < 0) return;
  const { name } = lobs[cut] as (typeof lobs)[0];
  throw cutProblem(name, files.map(({ local }) => local.label).join(', '), kilobytes);
}

/** Bytes are `\\x` and two digits for each. */
const lengthOf = (isBytes: boolean, x: string): string => (isBytes ? `(strlen(${x}) - 2) // 2` : lobTextBytes(x));

/** A DuckDB with files of DMS's in tables. */
export class Workshop implements AsyncDisposable {
  readonly duckdb: DuckDb;
  readonly #leased: AsyncDisposable;
  readonly #context: ConversionContext;

  static async open(context: ConversionContext): Promise<Workshop> {
    const leased = await lease('reader', context, rowBytes);
    return new Workshop(leased.duckdb, leased, context);
  }

  private constructor(duckdb: DuckDb, leased: AsyncDisposable, context: ConversionContext) {
    this.duckdb = duckdb;
    this.#leased = leased;
    this.#context = context;
  }

  /**
   * A table `name` with the rows of all the files: `file` counts them from 0, `nr` the rows of a file. An update that changes the key is two
   * changes: the row under its old key goes, and then one comes. @throws what is wrong with a file, by its name
   */
  async fill(name: string, table: TableReading, files: readonly StampedFile[]): Promise<void> {
    const keys = (table.schema.key ?? []).map((_, index) => `b${index}`);
    const texts = ['stamp', 'op', 'ts', 'seq', ...columnsOf(table), 'sig', ...keys].map((column) => `${column} VARCHAR`);
    await this.duckdb.run(`CREATE TEMP TABLE ${name} (file INTEGER, nr BIGINT, ${texts.join(', ')})`);
    for (const [at, { stamp, local }] of files.entries()) await this.#add(name, table, at, stamp, local);
    const kind = files[0]?.local.kind;
    if (kind === undefined) return;
    const [odd] = await this.duckdb.run(`SELECT op, ts, seq, file FROM ${name} WHERE ${oddIn(kind, table)} LIMIT 1`);
    if (odd) throw outOfPlace((files[Number(odd[3])] as StampedFile).local, odd);
    if (table.keyBefore && kind !== 'load') await this.duckdb.run(oldKeys(name, table));
  }

  async #add(name: string, table: TableReading, at: number, stamp: string, file: LocalFile): Promise<void> {
    const { spool, signal } = this.#context;
    const link = spoolName('file', `.${file.format}`);
    await symlink(resolve(file.path), join(spool, link));
    try {
      const query = await dmsQuery(this.duckdb, file, link, table, signal);
      if (query === null) return;
      const columns = columnsOf(table);
      const keys = (table.schema.key ?? []).map((_, index) => `b${index}`);
      const insert = `INSERT INTO ${name} SELECT ${at}, nr * 2, ${literal(stamp)}, op, ts, seq, ${columns.join(', ')}, ${signature('op', columns)}, ${keys.join(', ')} FROM (${query.sql})`;
      const { result, rows } = await runWith(this.duckdb, insert, [], query.inlet ? [query.inlet] : [], this.#context);
      const count = Number(result[0]?.[0]);
      if (query.inlet && count !== rows) throw lost(file, rows, count);
    } catch (error) {
      throw inFile(error, file);
    } finally {
      await unlink(join(spool, link)).catch(() => {});
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.duckdb.busy) await this.duckdb.kill();
    await this.#leased[Symbol.asyncDispose]();
  }
}

const columnsOf = ({ schema }: TableReading): string[] => schema.columns.map((_, index) => `c${index}`);

/** By which two changes are the same one, come twice. A part that is NULL is told from one that is empty. */
const signature = (op: string, parts: readonly string[]): string =>
  `md5(concat_ws(chr(31), ${op}, ${parts.map((part) => `coalesce('=' || ${part}, '')`).join(', ')}))`;

/** A deletion of the old key, ahead of each update that changes it. */
function oldKeys(name: string, table: TableReading): string {
  const keys = table.schema.key ?? [];
  const old = table.schema.columns.map(({ name: column }, index) => {
    const key = keys.indexOf(column);
    return key < 0 ? 'NULL' : `coalesce(b${key}, c${index})`;
  });
  const changed = keys.map((key, index) => `b${index} <> c${table.schema.columns.findIndex((column) => column.name === key)}`);
  return `INSERT INTO ${name} SELECT file, nr - 1, stamp, 'D', ts, seq, ${old.join(', ')}, ${signature("'D'", old)}, ${keys.map(() => 'NULL').join(', ')}
    FROM ${name} WHERE op = 'U' AND (${changed.join(' OR ')})`;
}

/** What no change of DMS's looks like. Its numbers are 35 digits, so they sort as texts; times do where they have six digits behind the second. */
function oddIn(kind: LocalFile['kind'], { sequence }: TableReading): string {
  const op = "op IS NULL OR op NOT IN ('I', 'U', 'D')";
  if (kind === 'load') return `op IS NULL OR op <> 'I'`;
  const digits = sequence ? '\\.\\d{1,9})?' : '\\.\\d{6})';
  const ts = `ts IS NULL OR NOT regexp_full_match(ts, '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d(${digits}')`;
  return `${op} OR ${ts}${sequence ? ` OR seq IS NULL OR NOT regexp_full_match(seq, '\\d{35}')` : ''}`;
}

export function inFile(error: unknown, { label }: LocalFile): unknown {
  if (!isMillraceError(error) || error.message.startsWith(label)) return error;
  if (!['TYPE_MISMATCH', 'VALUE_UNREPRESENTABLE', 'FILE_CORRUPT', 'SCHEMA_DRIFT'].includes(error.code)) return error;
  return new MillraceError(error.code, {
    message: `${label}: ${error.message}`,
    remedy: error.remedy,
    facts: { ...error.facts, file: label },
    cause: error,
  });
}

const lost = ({ label }: LocalFile, given: number, read: number): MillraceError =>
  new MillraceError('FILE_CORRUPT', {
    message: `${label}: ${given} rows are there, and ${read} could be read.`,
    remedy: 'Look for rows that do not follow the format: with Rfc4180 false, a text that holds the delimiter or a line break.',
    facts: { given, read },
  });

const outOfPlace = ({ label }: LocalFile, [op, ts, seq]: readonly unknown[]): MillraceError =>
  new MillraceError('FILE_CORRUPT', {
    message: !['I', 'U', 'D'].includes(String(op))
      ? `${label}: ${JSON.stringify(op)} stands where I, U or D is expected.`
      : `${label}: ${JSON.stringify(ts)} and ${JSON.stringify(seq)} stand where the time of a commit and the number of a change are expected.`,
    remedy: 'The settings of the endpoint are not those that dms() was given, or the file is not one of DMS.',
  });

/** What `convertChanges` has left in the spool. */
export const forget = async ({ paths }: Converted): Promise<void> => {
  await Promise.all([...paths.values()].map((path) => rm(path, { force: true })));
};
