import { nameParts, type RowSchema } from '@millrace/core/runtime';
import type { MemoryDatabase, MemoryRow } from '@millrace/core/testing';
import type { TaskFiles, Written } from './dms-files.ts';
import { csv, dmsValue, parquet, partition, renamed, stampOf, type WrittenAs } from './dms-formats.ts';

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
    return { key: renamed(file.key, new Date(this.#clock)), body: file.body, modified: new Date(this.#clock) };
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
        key: `${output.CdcPath}/CDC_TXN-${stampOf(modified).replace('-', '')}.csv${output.CompressionType === 'gzip' ? '.gz' : ''}`,
        body,
        modified,
      };
    }
    const table = (rows[0] as Changed).table;
    const body = await this.#body(tables[table] as TaskTable, rows, 'changes');
    return {
      key: `${this.#folderOf(table)}${partition(output, (rows[0] as Changed).ts)}${stampOf(modified)}.${this.#ending()}`,
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

  #tick(): void {
    this.#clock += 60_000;
  }
}

const endings = ['csv', 'csv.gz', 'parquet'];
const hex = (number: number): string => number.toString(16).toUpperCase().padStart(8, '0');
