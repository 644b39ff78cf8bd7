import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type ColumnSchema, nameParts, type RowSchema } from '@millrace/core/runtime';
import type { MemoryDatabase, MemoryRow } from '@millrace/core/testing';
import type { DuckDBInstance as Instance } from '../packages/connectors/node_modules/@duckdb/node-api/lib/index.js';

const { DuckDBInstance } = createRequire(new URL('../packages/connectors/package.json', import.meta.url))('@duckdb/node-api') as {
  DuckDBInstance: typeof Instance;
};

/** Settings of an S3 endpoint, complete. */
export interface WrittenAs {
  readonly DataFormat: 'parquet' | 'csv';
  readonly CompressionType?: 'none' | 'gzip';
  readonly AddColumnName?: boolean;
  readonly IncludeOpForFullLoad?: boolean;
  readonly TimestampColumnName: string;
  readonly Rfc4180?: boolean;
  readonly CsvDelimiter?: string;
  readonly CsvRowDelimiter?: string;
  readonly CsvNullValue?: string;
  readonly DatePartitionEnabled?: boolean;
  readonly DatePartitionSequence?: string;
  readonly DatePartitionDelimiter?: string;
  readonly PreserveTransactions?: boolean;
  readonly CdcPath?: string;
  readonly EncodingType?: string;
  readonly ParquetVersion?: string;
  readonly RowGroupLength?: number;
}

export interface TaskTable extends RowSchema {
  readonly name: string;
}

export interface TaskOptions {
  readonly arn: string;
  readonly database: MemoryDatabase;
  readonly tables: Readonly<Record<string, TaskTable>>;
  /** Where files go: a directory that stands for the bucket's folder, or a bucket. */
  readonly files: TaskFiles;
  readonly output: WrittenAs;
  readonly sequence: boolean;
  /** Whether the mappings have it write the key before an update. */
  readonly keyBefore?: boolean;
  /** How it writes bytes into CSV. */
  readonly binary?: 'hex' | 'base64';
  /** Rows of a file of the full load. */
  readonly loadRows?: number;
  /** Transactions before the full load that come again as changes, as those do which were cached while it ran. */
  readonly overlap?: number;
}

export interface TaskFiles {
  put(file: Written): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
}

/** A directory, whose files have the times of the task's own clock. */
export const filesIn = (folder: string): TaskFiles => ({
  async put({ key, body, modified }) {
    const path = join(folder, key);
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    writeFileSync(path, body);
    utimesSync(path, modified, modified);
  },
  async remove(keys) {
    for (const key of keys) rmSync(join(folder, key), { force: true });
  },
});

/** A file that DMS has written, and that has not arrived yet. */
export interface Written {
  readonly key: string;
  readonly body: Buffer;
  readonly modified: Date;
}

interface Counted {
  loaded: number;
  errors: number;
  inserts: number;
  deletes: number;
  startedAt: Date;
  state: string;
}

interface Changed {
  readonly table: string;
  readonly op: 'I' | 'U' | 'D';
  readonly row: MemoryRow;
  /** Of an update, the row before it. */
  readonly old?: MemoryRow;
  readonly ts: string;
  readonly seq: string;
  readonly transaction: number;
}

/**
 * A replication task, as far as it can be seen from outside: its state, its statistics, and files laid out as the guide says. The source is a
 * database in memory; time passes a minute with everything that it does.
 */
export class DmsTask {
  readonly options: TaskOptions;
  status = 'ready';
  stopReason: string | null = null;
  failure: string | null = null;
  freshStart: Date | null = null;
  mappings = '{"rules":[]}';
  settings = '{}';
  readonly calls: string[] = [];
  readonly counts = new Map<string, Counted>();
  #clock = Date.UTC(2026, 0, 1);
  #at = 0;

  constructor(options: TaskOptions) {
    this.options = options;
  }

  async start(kind: string): Promise<void> {
    this.calls.push(kind);
    this.#tick();
    if (kind !== 'resume-processing') await this.#load(kind === 'reload-target');
    this.status = 'running';
    this.stopReason = null;
  }

  stop(): void {
    this.calls.push('stop');
    this.#tick();
    this.status = 'stopped';
    this.stopReason = 'Stop Reason NORMAL';
  }

  /** What the source did and DMS never saw: the log was gone when it came back. */
  forgetChanges(): void {
    this.#at = this.options.database.log.length;
  }

  /** Loads one table again while the others go on. */
  async reload(table: string): Promise<void> {
    this.#tick();
    await this.#loadTable(table, true);
  }

  /** What has changed since the last time, as files: cut where `cut` says, in rows. They arrive when `deliver` is called. */
  async changes(cut: () => number, atCommits = false): Promise<Written[]> {
    const { database, output, tables } = this.options;
    const all: Changed[] = [];
    for (let at = this.#at; at < database.log.length; at++) {
      const { changes, committedAt } = database.log[at] as (typeof database.log)[0];
      for (const [place, change] of changes.entries()) {
        if (change.kind === 'truncate' || change.kind === 'schema') throw new Error('DMS does not tell of this');
        const op = change.kind === 'insert' ? 'I' : change.kind === 'update' ? 'U' : 'D';
        const ts = `${committedAt.slice(0, 10)} ${committedAt.slice(11, 26)}`;
        const seq = `${ts.replace(/\D/g, '').slice(0, 14)}${String(at * 1000 + place).padStart(21, '0')}`;
        all.push({
          table: change.table,
          op,
          row: change.kind === 'delete' ? change.old : change.row,
          ...(change.kind === 'update' && { old: change.old }),
          ts,
          seq,
          transaction: at,
        });
        const counted = this.counts.get(change.table);
        if (counted && op === 'I') counted.inserts++;
        if (counted && op === 'D') counted.deletes++;
      }
    }
    this.#at = database.log.length;
    const files: Written[] = [];
    const streams = output.PreserveTransactions ? [all] : Object.keys(tables).map((name) => all.filter(({ table }) => table === name));
    for (const rows of streams) {
      for (let from = 0; from < rows.length; ) {
        let to = Math.min(rows.length, from + Math.max(1, cut()));
        while (atCommits && to < rows.length && rows[to]?.transaction === rows[to - 1]?.transaction) to++;
        files.push(await this.#file(rows.slice(from, to)));
        from = to;
      }
    }
    // Tables are written side by side, so their files come in the order of time.
    return files.sort((a, b) => a.modified.getTime() - b.modified.getTime());
  }

  deliver(file: Written): Promise<void> {
    return this.options.files.put(file);
  }

  /** The same changes once more, in a file of its own, as after a restart. */
  again(file: Written): Written {
    this.#tick();
    return { key: this.#renamed(file.key), body: file.body, modified: new Date(this.#clock) };
  }

  async #load(isAgain: boolean): Promise<void> {
    const { database, tables, overlap = 0 } = this.options;
    this.freshStart = new Date(this.#clock);
    this.#at = isAgain ? database.log.length : Math.max(0, database.log.length - overlap);
    for (const table of Object.keys(tables)) await this.#loadTable(table, isAgain);
  }

  async #loadTable(table: string, isAgain: boolean): Promise<void> {
    const { database, tables, files, loadRows = 3 } = this.options;
    const startedAt = new Date(this.#clock);
    this.#tick();
    const rows = database.rows(table);
    this.counts.set(table, { loaded: rows.length, errors: 0, inserts: 0, deletes: 0, startedAt, state: 'Table completed' });
    const place = this.#folderOf(table);
    if (isAgain) {
      // DROP_AND_CREATE takes away what the load before has left, and leaves the changes.
      const numbers = Array.from({ length: 64 }, (_, at) => hex(at + 1));
      await files.remove(numbers.flatMap((number) => endings.map((end) => `${place}LOAD${number}.${end}`)));
    }
    for (let from = 0, number = 1; from < rows.length; from += loadRows, number++) {
      const some = rows.slice(from, from + loadRows);
      const ts = startedAt.toISOString().replace('T', ' ').replace('Z', '000');
      const body = await this.#body(
        tables[table] as TaskTable,
        some.map((row) => ({ table, op: 'I', row, ts, seq: '', transaction: 0 })),
        'load',
      );
      await this.deliver({ key: `${place}LOAD${hex(number)}.${this.#ending()}`, body, modified: new Date(this.#clock) });
    }
  }

  async #file(rows: readonly Changed[]): Promise<Written> {
    const { output, tables } = this.options;
    this.#clock += 1_000;
    const modified = new Date(this.#clock);
    if (output.PreserveTransactions) {
      const body = csv(
        rows.map((change) => this.#transactionFields(change)),
        output,
      );
      return {
        key: `${output.CdcPath}/CDC_TXN-${this.#stamp(modified).replace('-', '')}.csv${output.CompressionType === 'gzip' ? '.gz' : ''}`,
        body,
        modified,
      };
    }
    const table = (rows[0] as Changed).table;
    const body = await this.#body(tables[table] as TaskTable, rows, 'changes');
    return {
      key: `${this.#folderOf(table)}${partition(output, (rows[0] as Changed).ts)}${this.#stamp(modified)}.${this.#ending()}`,
      body,
      modified,
    };
  }

  #transactionFields({ table, op, row, ts, seq }: Changed): (string | null)[] {
    const schema = this.options.tables[table] as TaskTable;
    const [schemaName = '', name = ''] = nameParts(schema.name) ?? [];
    const values = schema.columns.map((column) => dmsValue(column, row[column.name], ts.length + seq.length, this.options.binary));
    return [op, name, schemaName, ts, ...values, ...(this.options.sequence ? [seq] : [])];
  }

  async #body(table: TaskTable, rows: readonly Changed[], kind: 'load' | 'changes'): Promise<Buffer> {
    const { output, sequence, keyBefore } = this.options;
    const binary = output.DataFormat === 'parquet' ? 'hex' : this.options.binary;
    const withOp = kind === 'changes' || output.IncludeOpForFullLoad;
    const keys = keyBefore ? table.columns.filter(({ name }) => table.key?.includes(name)) : [];
    const names = [
      ...(withOp ? ['Op'] : []),
      output.TimestampColumnName,
      ...table.columns.map(({ name }) => name),
      ...(sequence ? ['dms_change_seq'] : []),
      ...keys.map(({ name }) => `dms_before_${name}`),
    ];
    // A source may tell the key before each update, or only where it was another one.
    const oldKey = ({ row, old }: Changed, name: string): unknown =>
      old && (old[name] !== row[name] || rows.length % 2 === 0) ? old[name] : null;
    const variant = (at: number): number => (output.DataFormat === 'parquet' ? 0 : at);
    const fields = rows.map((change, at) => [
      ...(withOp ? [change.op] : []),
      change.ts,
      ...table.columns.map((column) => dmsValue(column, change.row[column.name], variant(at), binary)),
      ...(sequence ? [change.seq === '' ? null : change.seq] : []),
      ...keys.map((column) => dmsValue(column, oldKey(change, column.name), variant(at), binary)),
    ]);
    if (output.DataFormat === 'parquet') return parquet(names, fields, table, output);
    return csv(output.AddColumnName ? [names, ...fields] : fields, output);
  }

  #folderOf(table: string): string {
    const [schema, name] = nameParts((this.options.tables[table] as TaskTable).name) ?? [];
    return `${schema}/${name}/`;
  }

  #ending(): string {
    const { DataFormat, CompressionType } = this.options.output;
    return DataFormat === 'parquet' ? 'parquet' : CompressionType === 'gzip' ? 'csv.gz' : 'csv';
  }

  #stamp(at: Date): string {
    const digits = at.toISOString().replace(/\D/g, '').slice(0, 17);
    return `${digits.slice(0, 8)}-${digits.slice(8)}`;
  }

  #renamed(key: string): string {
    const stamp = this.#stamp(new Date(this.#clock));
    return key.includes('CDC_TXN') ? key.replace(/CDC_TXN-\d+/, `CDC_TXN-${stamp.replace('-', '')}`) : key.replace(/\d{8}-\d{6,}/, stamp);
  }

  #tick(): void {
    this.#clock += 60_000;
  }
}

const endings = ['csv', 'csv.gz', 'parquet'];
const hex = (number: number): string => number.toString(16).toUpperCase().padStart(8, '0');

function partition(
  { DatePartitionEnabled, DatePartitionSequence = 'YYYYMMDD', DatePartitionDelimiter = 'SLASH' }: WrittenAs,
  ts: string,
): string {
  if (!DatePartitionEnabled) return '';
  const parts = { YYYY: ts.slice(0, 4), MM: ts.slice(5, 7), DD: ts.slice(8, 10), HH: ts.slice(11, 13) };
  const between = { SLASH: '/', DASH: '-', UNDERSCORE: '_', NONE: '' }[DatePartitionDelimiter] ?? '/';
  const names = DatePartitionSequence.match(/YYYY|MM|DD|HH/g) as (keyof typeof parts)[];
  return `${names.map((name) => parts[name]).join(between)}/`;
}

/** Of each type the forms that DMS is known to write; `variant` takes one of them. */
function dmsValue({ type }: ColumnSchema, value: unknown, variant: number, binary: 'hex' | 'base64' = 'hex'): string | null {
  if (value === null || value === undefined) return null;
  switch (type.kind) {
    case 'bool':
      return value ? (['true', '1', 't'][variant % 3] as string) : (['false', '0', 'f'][variant % 3] as string);
    case 'numeric':
      return `${String(value)}${'0'.repeat((variant % 3) * 2)}`;
    case 'timestamptz':
    case 'timestamp':
      return String(value).replace('T', ' ').replace('Z', '');
    case 'bytea':
      return binary === 'hex'
        ? Buffer.from(value as Uint8Array)
            .toString('hex')
            .toUpperCase()
        : Buffer.from(value as Uint8Array).toString('base64');
    default:
      return String(value);
  }
}

function csv(
  rows: readonly (readonly (string | null)[])[],
  { CsvDelimiter = ',', CsvRowDelimiter = '\n', CsvNullValue = 'NULL', Rfc4180 = true, CompressionType }: WrittenAs,
): Buffer {
  const field = (value: string | null): string => {
    if (value === null) return CsvNullValue;
    if (!Rfc4180) return value;
    return /["\r\n]/.test(value) || value.includes(CsvDelimiter) ? `"${value.replaceAll('"', '""')}"` : value;
  };
  const text = rows.map((row) => `${row.map(field).join(CsvDelimiter)}${CsvRowDelimiter}`).join('');
  return CompressionType === 'gzip' ? gzipSync(text) : Buffer.from(text);
}

let duckdb: Promise<Instance> | undefined;
let written = 0;

async function parquet(
  names: readonly string[],
  rows: readonly (readonly (string | null)[])[],
  table: TaskTable,
  output: WrittenAs,
): Promise<Buffer> {
  duckdb ??= DuckDBInstance.create(':memory:');
  const connection = await (await duckdb).connect();
  const { mkdtempSync, readFileSync } = await import('node:fs');
  const { tmpdir } = await import('node:os');
  const path = join(mkdtempSync(join(tmpdir(), 'millrace-dms-')), 'written.parquet');
  const isText = ++written % 2 === 0;
  const types = new Map<string, string>(
    table.columns.flatMap(({ name, type }) => [
      [name, parquetType(type, isText)],
      [`dms_before_${name}`, parquetType(type, isText)],
    ]),
  );
  const options = [
    'FORMAT parquet',
    `COMPRESSION ${output.CompressionType === 'gzip' ? 'gzip' : 'uncompressed'}`,
    `PARQUET_VERSION ${output.ParquetVersion === 'parquet-2-0' ? 'V2' : 'V1'}`,
    ...(output.EncodingType === 'plain' ? ['DICTIONARY_SIZE_LIMIT 0'] : []),
    ...(output.RowGroupLength === undefined ? [] : [`ROW_GROUP_SIZE ${output.RowGroupLength}`]),
  ];
  const cells = (row: readonly (string | null)[]): string =>
    row
      .map((value, at) => {
        const type = types.get(names[at] as string) ?? 'VARCHAR';
        const text = value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`;
        return type === 'BLOB' && value !== null ? `unhex(${text})` : `CAST(${text} AS ${type})`;
      })
      .join(', ');
  const columns = names.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ');
  await connection.run(
    `COPY (SELECT * FROM (VALUES ${rows.map((row) => `(${cells(row)})`).join(', ')}) AS t(${columns})) TO '${path}' (${options.join(', ')})`,
  );
  connection.closeSync();
  const body = readFileSync(path);
  rmSync(dirname(path), { recursive: true });
  return body;
}

/** As the guide has it: NUMERIC as a decimal, DATETIME as a timestamp without a zone, everything textual as a string; truth values as either. */
function parquetType(type: ColumnSchema['type'], isText: boolean): string {
  switch (type.kind) {
    case 'bool':
      return isText ? 'VARCHAR' : 'BOOLEAN';
    case 'int2':
    case 'int4':
      return 'INTEGER';
    case 'int8':
      return 'BIGINT';
    case 'float8':
      return 'DOUBLE';
    case 'numeric':
      return `DECIMAL(${type.precision ?? 28},${type.scale ?? 6})`;
    case 'timestamp':
    case 'timestamptz':
      return 'TIMESTAMP';
    case 'date':
      return 'DATE';
    case 'bytea':
      return 'BLOB';
    default:
      return 'VARCHAR';
  }
}
