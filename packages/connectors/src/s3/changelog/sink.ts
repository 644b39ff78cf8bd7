import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  type ChangeGroup,
  type ChangePart,
  type ChangeSink,
  type Context,
  type Fence,
  MillraceError,
  type Position,
  type RowSchema,
  type SchemaChange,
  type SinkState,
  type SinkStream,
  type StreamIdentity,
  type TableCopy,
} from '@millrace/core/runtime';
import type { StreamEntry } from '../manifest.ts';
import type { Storage } from '../storage.ts';
import { ChangeSpool } from './change-spool.ts';
import { type CopyHome, LogCopy } from './copy.ts';
import { passing } from './failpoints.ts';
import type { LogLayout } from './layout.ts';
import { changeRows, truncateRow } from './log-rows.ts';
import { type Packed, type Packing, packSegment } from './pack.ts';
import { isDue } from './roll.ts';
import { columnsLeftOut } from './schema-policy.ts';
import { StreamLog } from './stream-log.ts';
import { Tidying } from './tidying.ts';
import { Turns } from './turns.ts';
import { withoutColumns } from './without-columns.ts';

/**
 * A change log. Changes wait in the spool until a roll: they become files, and one manifest lists these and says how far the log has come.
 * The source remembers what is in no manifest yet, so a crash loses nothing, and what the manifest lists is not sent again.
 */
export class ChangeLogSink implements ChangeSink {
  readonly #storage: Storage;
  readonly #layout: LogLayout;
  readonly #context: Context;
  readonly #spool: ChangeSpool;
  readonly #timer: NodeJS.Timeout;
  readonly #turns = new Turns();
  #log: StreamLog | null = null;
  #packing: Packing | null = null;
  #tidying: Tidying | null = null;
  #stream: SinkStream | null = null;
  /** Columns of each table, as they came last. */
  readonly #schemas = new Map<string, RowSchema>();
  /** As the next manifest will have it. */
  #next: Omit<StreamEntry, 'epoch'> = { identity: null, position: null, copied: {}, logged: [], leftOut: {} };
  #packed: Packed[] = [];
  #hasRows = false;
  #since: number | null = null;
  #files = 0;

  constructor(storage: Storage, layout: LogLayout, context: Context) {
    this.#storage = storage;
    this.#layout = layout;
    this.#context = context;
    this.#spool = new ChangeSpool(join(context.spool, 'log'));
    // Changes must be seen in time where no others follow that would bring them along.
    this.#timer = setInterval(() => this.#tick(), Math.max(50, Math.min(1_000, layout.roll.everyMs / 4))).unref();
  }

  begin(stream: SinkStream, fence: Fence): Promise<SinkState> {
    return this.#turns.take(async () => {
      const [storage, context, { files }] = [this.#storage, this.#context, this.#layout];
      const { pipeline, step } = stream.owner;
      const id = createHash('sha256')
        .update(JSON.stringify([pipeline, step]))
        .digest('hex')
        .slice(0, 16);
      this.#stream = stream;
      for (const [table, { columns, key }] of Object.entries(stream.tables)) this.#schemas.set(table, { columns, ...(key && { key }) });
      this.#log = await StreamLog.takeOver({ storage, stream, fence, format: files, now: context.now });
      this.#packing = { storage, format: files, context, stream: id, epoch: fence.epoch, nextNumber: () => ++this.#files };
      this.#tidying = new Tidying(this.#packing, this.#layout.orphanHours);
      const { epoch: _, ...entry } = this.#log.entry;
      this.#next = entry;
      return { identity: entry.identity, position: entry.position, copied: entry.copied, deadLetters: 0 };
    });
  }

  follow(identity: StreamIdentity, position: Position): Promise<void> {
    return this.#turns.take(async () => {
      await this.#roll();
      const { identity: before, leftOut } = this.#next;
      const same = before !== null && sameStream(before, identity);
      const entry = same ? { ...this.#next, position } : { identity, position, copied: {}, logged: [], leftOut };
      await this.#begun.log.commit({ entry, anew: before !== null && !same });
      this.#next = entry;
      passing('s3.log.followed');
    });
  }

  async copy(table: string, how: 'fresh' | 'beside', at?: Position): Promise<TableCopy> {
    const position = at ?? this.#next.position;
    if (position === null) throw outOfOrder(`A copy of "${table}" was begun before the stream.`);
    const { packing, tidying } = this.#begun;
    return new LogCopy({
      table,
      position,
      isFollowed: how === 'beside' && Object.hasOwn(this.#next.copied, table),
      leftOut: this.#next.leftOut[table] ?? [],
      packing,
      spool: new ChangeSpool(join(this.#context.spool, `log-copy-${packing.nextNumber()}`)),
      append: (spool, group) => this.#append(spool, group, async () => {}),
      columns: () => this.#columnsOf(table),
      finish: (make, upTo) => this.#turns.take(() => this.#copied(table, make, upTo)),
      tidy: (files) => tidying.after(files),
    });
  }

  apply(group: ChangeGroup): Promise<Position> {
    return this.#turns.take(async () => {
      await this.#append(this.#spool, group, async () => {
        this.#hasRows = true;
        if (this.#spool.bytes >= this.#layout.roll.bytes) await this.#pack();
      });
      const [before, position] = [this.#next.position, group.position()];
      // Where other sinks are behind, groups come that this one has already.
      if (before === null || position > before) this.#next = { ...this.#next, position };
      this.#since ??= this.#context.now().getTime();
      passing('s3.log.spooled');
      if (this.#isDue()) await this.#roll();
      return this.#durable();
    });
  }

  flush(): Promise<Position> {
    return this.#turns.take(async () => {
      await this.#roll();
      return this.#durable();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#turns.ended();
    await this.#spool[Symbol.asyncDispose]();
    await this.#storage[Symbol.asyncDispose]();
  }

  #tick(): void {
    // Its failure is the next call's.
    if (this.#isDue()) void this.#turns.take(() => (this.#isDue() ? this.#roll() : Promise.resolve())).catch(() => {});
  }

  #isDue(): boolean {
    const bytes = this.#packed.length > 0 ? this.#layout.roll.bytes : this.#spool.bytes;
    return isDue({ bytes, rows: this.#hasRows, since: this.#since }, this.#layout.roll, this.#context.now().getTime());
  }

  async #append(spool: ChangeSpool, group: ChangeGroup, afterPart: () => Promise<void>): Promise<void> {
    for await (const part of group.parts) {
      this.#context.signal.throwIfAborted();
      await this.#appendPart(spool, part, group);
      if (part.kind !== 'schema') await afterPart();
    }
  }

  async #appendPart(spool: ChangeSpool, part: ChangePart, { transactions }: ChangeGroup): Promise<void> {
    if (part.kind === 'schema') return this.#columnsChanged(part);
    if (part.kind === 'truncate') {
      const of = transactions[part.transaction]!;
      for (const table of part.tables) {
        const row = truncateRow(this.#columnsOf(table), { position: of.commit, ordinal: part.ordinal - of.firstOrdinal, of });
        await spool.append(table, row, of.commit, of.commit);
      }
      return;
    }
    const { table } = part;
    const left = this.#next.leftOut[table] ?? [];
    const { columns, key } = part.rows.schema;
    this.#schemas.set(table, { columns, ...(key && { key }) });
    const rows = changeRows(withoutColumns(part, left), transactions);
    const first = transactions[part.transactions[0]!]!.commit;
    const last = transactions[part.transactions.at(-1)!]!.commit;
    await spool.append(table, rows, first, last);
  }

  #columnsOf(table: string): RowSchema {
    const schema = this.#schemas.get(table);
    if (!schema) throw outOfOrder(`"${table}" is none of the stream's tables.`);
    const left = this.#next.leftOut[table] ?? [];
    return left.length === 0 ? schema : { ...schema, columns: schema.columns.filter(({ name }) => !left.includes(name)) };
  }

  #columnsChanged(change: SchemaChange): void {
    const { table, schema } = change;
    const more = columnsLeftOut(change, this.#stream!.policy);
    const names = new Set(schema.columns.map(({ name }) => name));
    const left = [...new Set([...(this.#next.leftOut[table] ?? []), ...more])].filter((name) => names.has(name));
    const { [table]: _, ...others } = this.#next.leftOut;
    this.#next = { ...this.#next, leftOut: left.length === 0 ? others : { ...others, [table]: left } };
    this.#schemas.set(table, { columns: schema.columns, ...(schema.key && { key: schema.key }) });
  }

  /** What waits becomes files; they are in no manifest yet. */
  async #pack(): Promise<void> {
    for (const segment of this.#spool.take()) this.#packed.push(...(await packSegment(this.#begun.packing, segment)));
  }

  async #roll(): Promise<void> {
    const { log, tidying } = this.#begun;
    await this.#pack();
    const { position } = this.#next;
    if (this.#packed.length === 0 && position === log.entry.position) {
      this.#since = null;
      return;
    }
    const files = this.#packed;
    const logged = [...new Set([...this.#next.logged, ...files.map((file) => file.log.table)])];
    this.#next = { ...this.#next, logged };
    await log.commit({ files, entry: this.#next });
    this.#packed = [];
    this.#since = null;
    this.#hasRows = false;
    await tidying.after(files);
  }

  async #copied(table: string, make: Parameters<CopyHome['finish']>[0], upTo: Position): Promise<void> {
    await this.#roll();
    const { copied, logged } = this.#next;
    const files = await make({ hasRows: logged.includes(table) });
    const entry = {
      ...this.#next,
      copied: { ...copied, [table]: upTo },
      logged: files.length === 0 ? logged : [...new Set([...logged, table])],
    };
    await this.#begun.log.commit({ files, entry });
    this.#next = entry;
  }

  #durable(): Position {
    const { position } = this.#begun.log.entry;
    if (position === null) throw outOfOrder('Changes came before the stream had a beginning.');
    return position;
  }

  get #begun(): { readonly log: StreamLog; readonly packing: Packing; readonly tidying: Tidying } {
    const [log, packing, tidying] = [this.#log, this.#packing, this.#tidying];
    if (!log || !packing || !tidying) throw outOfOrder('The change log was used before begin().');
    return { log, packing, tidying };
  }
}

const sameStream = (a: StreamIdentity, b: StreamIdentity): boolean => a.source === b.source && a.slot === b.slot && a.origin === b.origin;

const outOfOrder = (message: string): MillraceError => new MillraceError('INTERNAL', { message, remedy: 'Please report it.' });
