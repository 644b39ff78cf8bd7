import {
  type Channel,
  type ColumnBatch,
  type Context,
  MillraceError,
  type ReadPlan,
  type ReadRequest,
  type RowSchema,
  type RowSource,
  type Split,
  type WireFormat,
} from '@millrace/core/runtime';
import { comesAs, declaredColumns, readColumn, type SourceColumn } from './columns.ts';
import { type Connected, connect, type SessionSettings } from './connect.ts';
import { fetchSizeFor } from './dialect.ts';
import { quoter, sameName, tableParts } from './identifier.ts';
import { compileSelect, type Select, selectSql } from './select-sql.ts';
import type { AnswerColumn, FoundTable, JdbcSession } from './session.ts';
import { planSplits, type SplitPlace, splitConditions } from './split.ts';
import { fixWindow, windowConditions } from './window.ts';

/** What is read: a table or view by its name, or a query. */
export type ReadObject =
  | { readonly kind: 'relation'; readonly name: string }
  | { readonly kind: 'query'; readonly name: string; readonly text: string };

export interface SourceSettings extends SessionSettings {
  /** Connections that read at once, 4 by default. */
  readonly maxConnections?: number;
}

const defaultConnections = 4;
const defaultFetchSize = 4_096;

export async function openSource(settings: SourceSettings, object: ReadObject, declared: RowSchema, context: Context): Promise<RowSource> {
  return new JdbcSource(settings, object, declared, context, await connect(settings, context));
}

/** The object as the database has it now. */
interface Found {
  readonly columns: readonly AnswerColumn[];
  readonly table: FoundTable | null;
  /** FROM item. */
  readonly from: string;
}

interface Planned {
  readonly found: Found;
  readonly select: Select;
  readonly window: ReadPlan['window'];
}

/** Each split is one statement on a connection of its own: consistent in itself, as consistent with the others as the database makes them. */
class JdbcSource implements RowSource {
  readonly #settings: SourceSettings;
  readonly #object: ReadObject;
  readonly #declared: RowSchema;
  readonly #context: Context;
  readonly #first: Connected;
  readonly #quote: (name: string) => string;
  readonly #idle: JdbcSession[];
  readonly #busy = new Set<JdbcSession>();
  readonly #waiting: (() => void)[] = [];
  #opening = 0;
  #disposed = false;
  #planned: Planned | undefined;

  constructor(settings: SourceSettings, object: ReadObject, declared: RowSchema, context: Context, first: Connected) {
    this.#settings = settings;
    this.#object = object;
    this.#declared = declared;
    this.#context = context;
    this.#first = first;
    this.#quote = quoter(first.session);
    this.#idle = [first.session];
  }

  async describe(): Promise<RowSchema> {
    this.#columns(await this.#find());
    return this.#declared;
  }

  async plan({ since, earlier, absorbed, splitBytes }: ReadRequest): Promise<ReadPlan> {
    if (this.#planned)
      throw new MillraceError('INTERNAL', { message: `${this.#object.name} is planned twice by one source.`, remedy: 'Please report it.' });
    const { session, dialect } = this.#first;
    const found = await this.#find();
    const columns = this.#columns(found);
    const select = compileSelect(columns, absorbed, this.#quote);
    const window = since
      ? (earlier?.window ??
        (await fixWindow(session, dialect, this.#cursor(found, since.column), found.from, this.#quote, since, this.#context.log)))
      : null;
    this.#planned = { found, select, window };
    const schema = this.#schema(select);
    const continues = earlier !== null && window !== null && goesOn(earlier, schema, absorbed);
    const splits = continues ? earlier.splits : await planSplits(session, found.table, dialect.product, splitBytes, this.#quote);
    const sum = (of: 'rows' | 'bytes') =>
      splits.reduce<number | null>((total, { estimate }) => (total === null || estimate[of] === null ? null : total + estimate[of]), 0);
    return { schema, absorbed, window, splits, estimate: { rows: sum('rows'), bytes: sum('bytes') }, continuesEarlier: continues };
  }

  offers(): WireFormat[] {
    return ['batches'];
  }

  async open(split: Split, format: WireFormat): Promise<Channel> {
    const planned = this.#planned;
    if (!planned || format !== 'batches')
      throw new MillraceError('INTERNAL', {
        message: `${this.#object.name} is read before it was planned, or as ${format}.`,
        remedy: 'Please report it.',
      });
    const schema = this.#schema(planned.select);
    return { format: 'batches', schema, batches: this.#rows(planned, split, schema) };
  }

  async *#rows({ found, select, window }: Planned, split: Split, schema: RowSchema): AsyncGenerator<ColumnBatch, void, undefined> {
    const { progress } = this.#context;
    const conditions = [
      ...(window ? windowConditions(window, this.#cursor(found, window.column), this.#first.dialect, this.#quote) : []),
      ...splitConditions(split.where as SplitPlace, this.#quote),
    ];
    const { dialect, url } = this.#first;
    const { sql, parameters } = selectSql(found.from, select, conditions, dialect, this.#quote);
    const request = {
      sql,
      parameters,
      fetchSize: fetchSizeFor(dialect.product, url, this.#settings.fetchSize ?? defaultFetchSize),
      columns: select.columns.map(readColumn),
      types: select.columns.map(comesAs),
      schema,
    };
    const session = await this.#reader();
    let whole = false;
    try {
      for await (const batch of session.read(request, this.#object.name)) {
        progress({ rows: batch.rowCount });
        yield batch;
      }
      whole = true;
    } finally {
      this.#release(session, whole);
    }
  }

  async #find(): Promise<Found> {
    const { session } = this.#first;
    const { name } = this.#object;
    if (this.#object.kind === 'query') {
      const from = `(${this.#object.text}\n) q`;
      return { columns: await session.columns(`SELECT * FROM ${from}`, name), table: null, from };
    }
    const table = await session.table(tableParts(name));
    if (table) return { columns: table.columns, table: /view/i.test(table.kind) ? null : table, from: table.quoted };
    throw new MillraceError('TABLE_MISSING', {
      message: `${session.product.name} has no table or view ${name} that "${session.product.user}" may see.`,
      remedy: 'Check the name, with its schema. "millrace introspect" lists the tables there are.',
      facts: { object: name },
    });
  }

  #columns({ columns, table }: Found): SourceColumn[] {
    return declaredColumns(this.#declared.columns, columns, this.#first.dialect.product, {
      object: this.#object.name,
      knowsNulls: table !== null,
    });
  }

  #cursor({ columns }: Found, name: string): SourceColumn {
    const declared = this.#declared.columns.find((column) => column.name === name);
    const source = sameName(columns, name);
    if (source) {
      const column = declared ?? { name, type: { kind: 'text' } as const, nullable: source.nullable !== 'no' };
      const [found] = declaredColumns([column], [source], this.#first.dialect.product, { object: this.#object.name, knowsNulls: false });
      return { ...found!, nullable: source.nullable !== 'no' && column.nullable };
    }
    throw new MillraceError('SCHEMA_DRIFT', {
      message: `${this.#object.name} has no column "${name}", by which new rows are to be told.`,
      remedy: 'Correct "since" of the extract.',
      facts: { object: this.#object.name, columns: [name] },
    });
  }

  #schema({ columns }: Select): RowSchema {
    const { key } = this.#declared;
    const kept = key?.every((name) => columns.some((column) => column.name === name));
    return { columns: columns.map(({ name, type, nullable }) => ({ name, type, nullable })), ...(key && kept && { key }) };
  }

  /** A session that nobody else uses, once there is one. */
  async #reader(): Promise<JdbcSession> {
    const most = this.#settings.maxConnections ?? defaultConnections;
    for (;;) {
      if (this.#disposed)
        throw new MillraceError('CONNECTION_FAILED', {
          message: `${this.#object.name}: the source was closed.`,
          remedy: 'Nothing to do: it is tried again.',
        });
      const idle = this.#idle.pop();
      if (idle) {
        this.#busy.add(idle);
        return idle;
      }
      if (this.#busy.size + this.#opening < most) {
        this.#opening++;
        try {
          const { session } = await connect(this.#settings, this.#context);
          this.#busy.add(session);
          return session;
        } catch (error) {
          this.#waiting.shift()?.();
          throw error;
        } finally {
          this.#opening--;
        }
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #release(session: JdbcSession, whole: boolean): void {
    this.#busy.delete(session);
    if (whole && !session.ended && !this.#disposed) this.#idle.push(session);
    else void session.kill();
    this.#waiting.shift()?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const wake of this.#waiting.splice(0)) wake();
    await Promise.all([...this.#busy].map((session) => session.kill()));
    await Promise.all([...this.#idle.splice(0), this.#first.session].map((session) => session[Symbol.asyncDispose]()));
  }
}

/**
 * An earlier attempt's splits hold the same rows where they are ranges of the key within a window: a row that has changed since then has left
 * the window and comes with the next one.
 */
function goesOn(earlier: ReadPlan, schema: RowSchema, absorbed: ReadRequest['absorbed']): boolean {
  return (
    earlier.splits.length > 0 &&
    earlier.splits.every(({ where }) => (where as SplitPlace).key !== undefined) &&
    JSON.stringify([earlier.schema.columns, earlier.absorbed]) === JSON.stringify([schema.columns, absorbed])
  );
}
