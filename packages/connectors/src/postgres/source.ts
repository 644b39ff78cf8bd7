import {
  type Channel,
  type Context,
  MillraceError,
  type ReadPlan,
  type ReadRequest,
  type RowSchema,
  type RowSource,
  type Split,
  type WireFormat,
} from '@millrace/core/runtime';
import { binaryBatches } from './binary/batches.ts';
import { isPortable } from './binary/form.ts';
import { type CatalogColumn, type Relation, readQuery, readRelation } from './catalog.ts';
import { openSession, type Session, type SessionSettings } from './client.ts';
import { declaredColumns } from './drift.ts';
import { quoteName } from './identifier.ts';
import { saltSetting } from './mask-sql.ts';
import { compileSelect, type Select } from './select-sql.ts';
import { lostWhileReading, type Reader, readerPurpose, Snapshot } from './snapshot.ts';
import { planSplits, type SplitPlace, sourcesOf } from './split.ts';
import { type Cursor, fixWindow, windowConditions } from './window.ts';

/** What is read: a table or view by its name, or a query. */
export type ReadObject =
  | { readonly kind: 'relation'; readonly name: string }
  | { readonly kind: 'query'; readonly name: string; readonly text: string };

export interface SourceSettings extends SessionSettings {
  /** Connections that read at once, 4 by default. */
  readonly maxConnections?: number;
}

const defaultConnections = 4;

/** `exported` names a snapshot that another connection keeps; without it the source takes one of its own. */
export async function openSource(
  settings: SourceSettings,
  object: ReadObject,
  declared: RowSchema,
  context: Context,
  exported: string | null = null,
): Promise<RowSource> {
  const connect = (instance: string | null): Promise<Session> =>
    openSession(instance === null ? settings : { ...settings, hostaddr: instance }, context, { purpose: readerPurpose });
  return new PostgresSource(settings, object, declared, context, connect, await connect(null), exported);
}

/** The object as the catalog has it now. */
interface Found {
  readonly columns: readonly CatalogColumn[];
  readonly relation: Relation | null;
  /** FROM item. */
  readonly from: string;
}

/** Everything that is fixed by `plan`. */
interface Planned {
  readonly found: Found;
  readonly select: Select;
  readonly conditions: readonly string[];
  readonly snapshot: Snapshot;
  readonly splits: number;
}

class PostgresSource implements RowSource {
  readonly #settings: SourceSettings;
  readonly #object: ReadObject;
  readonly #declared: RowSchema;
  readonly #context: Context;
  /** To one instance of a cluster, where the name of the host leads to any: a snapshot is known there and nowhere else. */
  readonly #connect: (instance: string | null) => Promise<Session>;
  #first: Session;
  readonly #exported: string | null;
  /** As `describe` has seen it, until `plan` looks again. */
  #described: Found | undefined;
  #snapshot: Snapshot | undefined;
  #planned: Planned | undefined;

  constructor(
    settings: SourceSettings,
    object: ReadObject,
    declared: RowSchema,
    context: Context,
    connect: (instance: string | null) => Promise<Session>,
    first: Session,
    exported: string | null,
  ) {
    this.#settings = settings;
    this.#object = object;
    this.#declared = declared;
    this.#context = context;
    this.#connect = connect;
    this.#first = first;
    this.#exported = exported;
  }

  async describe(): Promise<RowSchema> {
    const found = await this.#find();
    this.#expressions(found);
    this.#described = found;
    return this.#declared;
  }

  async plan(request: ReadRequest): Promise<ReadPlan> {
    if (this.#planned)
      throw new MillraceError('INTERNAL', { message: `${this.#object.name} is planned twice by one source.`, remedy: 'Please report it.' });
    const before = this.#described ?? (await this.#find());
    // The bound first, the snapshot after it: then every row below the bound is in the snapshot, or will never come.
    const window = request.since ? (request.earlier?.window ?? (await this.#window(before, request.since))) : null;
    const seen = await this.#look(before, { absorbed: request.absorbed, window }, this.#exported);
    const plan = await this.#readPlan(request, { ...seen, window });
    this.#planned = { ...seen, splits: plan.splits.length };
    return plan;
  }

  async join({ absorbed, window, splits, shared }: ReadPlan): Promise<void> {
    const instance = shared?.['instance'];
    if (typeof instance === 'string' && instance !== this.#first.instance) {
      await this.#first[Symbol.asyncDispose]();
      this.#first = await this.#connect(instance);
    }
    const before = this.#described ?? (await this.#find());
    this.#planned = { ...(await this.#look(before, { absorbed, window }, String(shared?.['snapshot']))), splits: splits.length };
  }

  /** Takes a snapshot, or looks at the one that is `exported`; what is there is read as of it. */
  async #look(before: Found, { absorbed, window }: Pick<ReadPlan, 'absorbed' | 'window'>, exported: string | null) {
    const session = this.#first;
    const parts = {
      session,
      connect: () => this.#connect(session.instance),
      prepare: await this.#salts(compileSelect(this.#expressions(before), absorbed)),
      most: this.#settings.maxConnections ?? defaultConnections,
      log: this.#context.log,
    };
    const snapshot = await (exported === null ? Snapshot.take(parts) : Snapshot.join(parts, exported));
    this.#snapshot = snapshot;
    // Holds off ALTER TABLE, TRUNCATE and VACUUM FULL until the reading is over; what the catalog said before may be old by now.
    await session.query(`SELECT FROM ${before.from} LIMIT 0`, [], this.#object.name);
    const found = await this.#find();
    if (exported !== null && found.relation) await checkStorage(session, found.relation, this.#object.name);
    const select = compileSelect(this.#expressions(found), absorbed);
    const cursor = window && found.columns.find(({ name }) => name === window.column);
    const conditions =
      window && cursor ? windowConditions(window, { column: cursor.name, type: cursor.type, nullable: !cursor.notNull }) : [];
    return { found, select, conditions, snapshot };
  }

  offers(plan: ReadPlan): WireFormat[] {
    return offersFor(plan.schema);
  }

  async open(split: Split, format: WireFormat): Promise<Channel> {
    const planned = this.#planned;
    if (!planned)
      throw new MillraceError('INTERNAL', { message: `${this.#object.name} is read before it was planned.`, remedy: 'Please report it.' });
    const { snapshot, select } = planned;
    const schema = this.#schema(select);
    const reader = await snapshot.reader(planned.splits === 1);
    try {
      const text = this.#copyText(planned, split.where as SplitPlace, format);
      return format === 'batches' ? this.#batches(reader, text, schema) : this.#bytes(reader, text, schema, format);
    } catch (error) {
      reader.release(false);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#snapshot?.[Symbol.asyncDispose]();
    await this.#first[Symbol.asyncDispose]();
  }

  async #find(): Promise<Found> {
    const { name } = this.#object;
    if (this.#object.kind === 'query') {
      return { columns: await readQuery(this.#first, this.#object.text, name), relation: null, from: `(${this.#object.text}\n) AS q` };
    }
    const relation = await readRelation(this.#first, name);
    return { columns: relation.columns, relation, from: quoteName(relation) };
  }

  #expressions(found: Found) {
    const knowsNulls = found.relation !== null && ['table', 'partitioned'].includes(found.relation.kind);
    return declaredColumns(this.#declared.columns, found.columns, { object: this.#object.name, knowsNulls });
  }

  async #window(found: Found, since: NonNullable<ReadRequest['since']>) {
    const column = found.columns.find(({ name }) => name === since.column);
    if (!column) {
      throw new MillraceError('SCHEMA_DRIFT', {
        message: `${this.#object.name} has no column "${since.column}", by which new rows are to be told.`,
        remedy: 'Correct "since" of the extract.',
        facts: { object: this.#object.name, columns: [since.column] },
      });
    }
    const tables =
      found.relation && ['table', 'partitioned'].includes(found.relation.kind) ? await tree(this.#first, found.relation.oid) : null;
    const kind = found.relation ? cursorKinds[found.relation.kind] : 'query';
    const cursor: Cursor = { column: column.name, type: column.type, nullable: !column.notNull, from: found.from, tables, kind };
    return fixWindow(this.#first, cursor, since, this.#context.log, this.#context.signal);
  }

  /** Salts are bound as parameters and live as long as the transaction: they stand in no statement. */
  async #salts(select: Select): Promise<(session: Session) => Promise<void>> {
    const values = await Promise.all(select.salts.map((ref) => this.#context.secret(ref)));
    return async (session) => {
      for (const [number, value] of values.entries())
        await session.query('select set_config($1, $2, true) is null', [saltSetting(number), value]);
    };
  }

  async #readPlan(
    request: ReadRequest,
    { found, select, conditions, snapshot, window }: Omit<Planned, 'splits'> & Pick<ReadPlan, 'window'>,
  ): Promise<ReadPlan> {
    const { session } = snapshot;
    const { earlier, absorbed, splitBytes } = request;
    const schema = this.#schema(select);
    const isNarrow = window !== null && window.low !== null;
    const expected =
      isNarrow || !found.relation ? await explained(session, select.text(found.from, conditions, 'csv'), this.#object.name) : null;
    const continues = earlier !== null && window !== null && goesOn(earlier, schema, request);
    const splits = continues
      ? earlier.splits
      : found.relation
        ? await planSplits(session, {
            relation: found.relation,
            whole: select.whole,
            byKey: earlier !== null && window !== null,
            expected: isNarrow ? expected : null,
            splitBytes,
          })
        : [{ id: 's00000', estimate: expected ?? { rows: null, bytes: null }, where: {} }];
    const sum = (of: 'rows' | 'bytes') =>
      splits.reduce<number | null>((total, { estimate }) => (total === null || estimate[of] === null ? null : total + estimate[of]), 0);
    return {
      schema,
      absorbed,
      window,
      splits,
      estimate: { rows: sum('rows'), bytes: sum('bytes') },
      continuesEarlier: continues,
      ...(snapshot.id !== null && { shared: { snapshot: snapshot.id, ...(session.instance !== null && { instance: session.instance }) } }),
    };
  }

  #schema(select: Select): RowSchema {
    const key = this.#declared.key;
    const kept = key?.every((name) => select.columns.some((column) => column.name === name));
    return { columns: select.columns, ...(key && kept && { key }) };
  }

  #copyText({ found, select, conditions }: Planned, place: SplitPlace, format: WireFormat): string {
    const parts = sourcesOf(place, found.from).map(({ from, where }) => select.text(from, [...where, ...conditions], format));
    return `COPY (${parts.join('\nUNION ALL\n')}) TO STDOUT (FORMAT ${format === 'csv' ? 'csv' : 'binary'})`;
  }

  #batches(reader: Reader, text: string, schema: RowSchema): Channel {
    const { session } = reader;
    const { progress } = this.#context;
    const object = this.#object.name;
    const copy = session.copyOut(text, { object, onBytes: (bytes) => progress({ bytes }) });
    async function* batches() {
      let whole = false;
      try {
        yield* binaryBatches(copy.stream, schema, copy.done, (rows) => progress({ rows }));
        whole = true;
      } catch (error) {
        throw lostWhileReading(error);
      } finally {
        reader.release(whole);
      }
    }
    return { format: 'batches', schema, batches: batches() };
  }

  #bytes(reader: Reader, text: string, schema: RowSchema, format: 'pgcopy-binary' | 'csv'): Channel {
    const { progress } = this.#context;
    let shown = 0;
    const copy = reader.session.copyOut(text, {
      object: this.#object.name,
      translate: lostWhileReading,
      onBytes: (bytes, rows) => {
        shown += rows;
        progress({ rows, bytes });
      },
    });
    const done = copy.done.then(
      (count) => {
        reader.release(true);
        // The frames of header and trailer were counted as rows on the way.
        progress({ rows: count.rows - shown });
        return count;
      },
      (error: unknown) => {
        reader.release(false);
        throw error;
      },
    );
    done.catch(() => {}); // the stream tells the same error to whoever reads it
    return { format, schema, stream: copy.stream, done };
  }
}

/**
 * A table that was rewritten (ALTER COLUMN … TYPE) or truncated after the snapshot was taken is empty in it, whatever it held. The catalog
 * as of the snapshot still names the files of then.
 *
 * @throws SNAPSHOT_LOST
 */
async function checkStorage(session: Session, { oid }: Relation, object: string): Promise<void> {
  const [row] = await session.query(
    `with recursive tree(oid) as (select $1::oid union select i.inhrelid from pg_inherits i join tree on i.inhparent = tree.oid)
     select count(*) as rewritten from tree join pg_class c using (oid)
     where c.relkind = any('{r,m}') and c.relfilenode <> 0 and c.relfilenode is distinct from pg_relation_filenode(c.oid)`,
    [oid],
  );
  if (row?.['rewritten'] === '0') return;
  throw new MillraceError('SNAPSHOT_LOST', {
    message: `${object} was rewritten or truncated while its snapshot was about to be read, and is empty in it.`,
    remedy: 'Nothing to do: it is tried again with a new snapshot.',
    facts: { object },
  });
}

const cursorKinds: Readonly<Record<Relation['kind'], Cursor['kind']>> = {
  table: 'table',
  partitioned: 'table',
  view: 'view',
  materialized: 'materialized view',
  foreign: 'foreign table',
  sequence: 'view',
  other: 'view',
};

/** Cheapest first. Bytes may pass unread only where they mean the same at the other end. */
export function offersFor(schema: RowSchema): WireFormat[] {
  return schema.columns.every(({ type }) => isPortable(type)) ? ['pgcopy-binary', 'csv', 'batches'] : ['csv', 'batches'];
}

/**
 * An earlier attempt's splits hold the same rows where they are ranges of the key within a window: a row that has changed since
 * then has left the window and comes with the next one. Blocks hold the same rows only within their snapshot.
 */
function goesOn(earlier: ReadPlan, schema: RowSchema, { absorbed }: ReadRequest): boolean {
  return (
    earlier.splits.length > 0 &&
    earlier.splits.every(({ where }) => (where as SplitPlace).key !== undefined) &&
    JSON.stringify([earlier.schema.columns, earlier.absorbed]) === JSON.stringify([schema.columns, absorbed])
  );
}

async function tree(session: Session, oid: string): Promise<string[]> {
  const rows = await session.query(
    'with recursive tree(oid) as (select $1::oid union select i.inhrelid from pg_inherits i join tree on i.inhparent = tree.oid) select oid::text from tree',
    [oid],
  );
  return rows.map((row) => row['oid'] ?? '');
}

/** What Postgres's planner expects. */
async function explained(session: Session, select: string, object: string): Promise<Split['estimate']> {
  const [row] = await session.query(`EXPLAIN (FORMAT json) ${select}`, [], object);
  const [{ Plan: top } = {}] = JSON.parse(row?.['QUERY PLAN'] ?? '[]') as { Plan?: { 'Plan Rows': number; 'Plan Width': number } }[];
  return top ? { rows: top['Plan Rows'], bytes: top['Plan Rows'] * top['Plan Width'] } : { rows: null, bytes: null };
}
