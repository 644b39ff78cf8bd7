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
import { batcher, type ZeroDates } from './batches.ts';
import { type CatalogColumn, type Relation, readQuery, readRelation } from './catalog.ts';
import type { SessionSettings } from './credentials.ts';
import { declaredColumns, type Expression } from './expression.ts';
import { quoteName } from './identifier.ts';
import { compileSelect, type Select } from './select-sql.ts';
import { openSession, type Session } from './session.ts';
import { Snapshot } from './snapshot.ts';
import { conditionsOf, planSplits, type SplitPlace } from './split.ts';
import { fixWindow, windowConditions } from './window.ts';

/** What is read: a table or view by its name, all of it or where a condition holds, or a query. */
export type ReadObject =
  | { readonly kind: 'relation'; readonly name: string; readonly where?: string }
  | { readonly kind: 'query'; readonly name: string; readonly text: string };

export interface SourceSettings extends SessionSettings {
  /** Connections that read at once, 4 by default. */
  readonly maxConnections?: number;
  readonly zeroDates?: ZeroDates;
  /** Rows that Millrace has written: a type that MySQL lacks stands in a column of text. */
  readonly own?: boolean;
}

const defaultConnections = 4;
export const offers: readonly WireFormat[] = ['batches'];

/** `shared`: a snapshot that is there already, and stays with its owner. */
export async function openSource(
  settings: SourceSettings,
  object: ReadObject,
  declared: RowSchema,
  context: Context,
  shared: Snapshot | null = null,
): Promise<RowSource> {
  const connect = (): Promise<Session> => openSession(settings, context, { purpose: 'read' });
  return new MysqlSource(settings, object, declared, context, connect, await connect(), shared);
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
}

class MysqlSource implements RowSource {
  readonly #settings: SourceSettings;
  readonly #object: ReadObject;
  readonly #declared: RowSchema;
  readonly #context: Context;
  readonly #connect: () => Promise<Session>;
  readonly #first: Session;
  readonly #shared: Snapshot | null;
  #planned: Planned | undefined;

  constructor(
    settings: SourceSettings,
    object: ReadObject,
    declared: RowSchema,
    context: Context,
    connect: () => Promise<Session>,
    first: Session,
    shared: Snapshot | null,
  ) {
    this.#settings = settings;
    this.#object = object;
    this.#declared = declared;
    this.#context = context;
    this.#connect = connect;
    this.#first = first;
    this.#shared = shared;
  }

  async describe(): Promise<RowSchema> {
    this.#expressions(await this.#find());
    return this.#declared;
  }

  async plan({ absorbed, since, splitBytes, earlier }: ReadRequest): Promise<ReadPlan> {
    if (this.#planned)
      throw new MillraceError('INTERNAL', { message: `${this.#object.name} is planned twice by one source.`, remedy: 'Please report it.' });
    const found = await this.#find();
    const select = compileSelect(this.#expressions(found), absorbed);
    // The bound first, the snapshot after it: then every row below the bound is in the snapshot, or will never come.
    const window = since ? (earlier?.window ?? (await this.#window(found, since))) : null;
    const cursor = window && found.columns.find(({ name }) => name === window.column);
    const where = this.#object.kind === 'relation' ? this.#object.where : undefined;
    const conditions = [...(where ? [where] : []), ...(window && cursor ? windowConditions(window, cursor) : [])];
    const schema = this.#schema(select);
    const continues = earlier !== null && window !== null && goesOn(earlier, schema, absorbed);
    const splits = continues
      ? earlier.splits
      : await this.#splits(found, select, conditions, window !== null && window.low !== null, splitBytes);
    const snapshot =
      this.#shared ??
      (await Snapshot.take({
        session: this.#first,
        connect: this.#connect,
        most: Math.min(this.#settings.maxConnections ?? defaultConnections, splits.length),
        tables: found.relation?.kind === 'table' ? [found.from] : null,
        log: this.#context.log,
      }));
    this.#planned = { found, select, conditions, snapshot };
    const sum = (of: 'rows' | 'bytes') =>
      splits.reduce<number | null>((total, { estimate }) => (total === null || estimate[of] === null ? null : total + estimate[of]), 0);
    return { schema, absorbed, window, splits, estimate: { rows: sum('rows'), bytes: sum('bytes') }, continuesEarlier: continues };
  }

  offers(): WireFormat[] {
    return [...offers];
  }

  async open(split: Split): Promise<Channel> {
    const planned = this.#planned;
    if (!planned)
      throw new MillraceError('INTERNAL', { message: `${this.#object.name} is read before it was planned.`, remedy: 'Please report it.' });
    const { found, select, conditions, snapshot } = planned;
    const text = select.text(found.from, [...conditionsOf(split.where as SplitPlace), ...conditions]);
    const schema = this.#schema(select);
    const toBatch = batcher(schema, select.columns, this.#settings.zeroDates ?? 'fail');
    const { progress } = this.#context;
    const object = this.#object.name;
    async function* batches() {
      const reader = await snapshot.reader();
      let whole = false;
      try {
        for await (const scanned of reader.session.rows(text, object)) {
          progress({ rows: scanned.rows, bytes: scanned.data.length });
          yield toBatch(scanned);
        }
        whole = true;
      } finally {
        reader.release(whole);
      }
    }
    return { format: 'batches', schema, batches: batches() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#shared) await this.#planned?.snapshot[Symbol.asyncDispose]();
    await this.#first[Symbol.asyncDispose]();
  }

  async #find(): Promise<Found> {
    const { name } = this.#object;
    if (this.#object.kind === 'query')
      return { columns: await readQuery(this.#first, this.#object.text, name), relation: null, from: `(${this.#object.text}\n) AS q` };
    const relation = await readRelation(this.#first, name);
    return { columns: relation.columns, relation, from: quoteName(relation) };
  }

  #expressions({ columns, relation }: Found): Expression[] {
    return declaredColumns(this.#declared.columns, columns, {
      object: this.#object.name,
      knowsNulls: relation?.kind === 'table',
      own: this.#settings.own ?? false,
    });
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
    return fixWindow(this.#first, { column, from: found.from }, since, this.#context.log, this.#context.signal);
  }

  async #splits(
    { relation, from }: Found,
    select: Select,
    conditions: readonly string[],
    isNarrow: boolean,
    splitBytes: number,
  ): Promise<Split[]> {
    if (!relation) return [{ id: 's00000', estimate: { rows: null, bytes: null }, where: {} }];
    const expected = isNarrow ? await explained(this.#first, select.text(from, conditions), relation) : null;
    return planSplits(this.#first, { relation, whole: select.whole, expected, splitBytes });
  }

  #schema(select: Select): RowSchema {
    const key = this.#declared.key;
    const kept = key?.every((name) => select.columns.some((column) => column.name === name));
    return { columns: select.columns.map(({ name, type, nullable }) => ({ name, type, nullable })), ...(key && kept && { key }) };
  }
}

/**
 * An earlier attempt's splits hold the same rows where they are ranges of the key within a window: a row that has changed since then has
 * left the window and comes with the next one.
 */
function goesOn(earlier: ReadPlan, schema: RowSchema, absorbed: ReadRequest['absorbed']): boolean {
  return (
    earlier.splits.length > 0 &&
    earlier.splits.every(({ where }) => (where as SplitPlace).key !== undefined) &&
    JSON.stringify([earlier.schema.columns, earlier.absorbed]) === JSON.stringify([schema.columns, absorbed])
  );
}

/** What the optimizer expects, at the average length of the table's rows. */
async function explained(session: Session, select: string, { rows: all, bytes }: Relation): Promise<Split['estimate']> {
  const plan = await session.query(`EXPLAIN ${select}`);
  const rows = Math.max(0, ...plan.map((row) => Number(row['rows'] ?? 0)));
  return { rows, bytes: all > 0 ? Math.round((rows * bytes) / all) : null };
}
