import {
  bigint64Vector,
  type Channel,
  type Checkpoint,
  type ColumnBatch,
  type Context,
  type Fence,
  isMillraceError,
  type LoadSession,
  type LoadSpec,
  MillraceError,
  type Receipt,
  rowJson,
  type Split,
  type StagedPart,
} from '@millrace/core/runtime';
import { checkOrder } from '../../postgres/sink/checkpoint.ts';
import { batchWriter } from '../batch.ts';
import { type Connected, connect } from '../connect.ts';
import { quoter } from '../identifier.ts';
import type { FoundTable, JdbcSession, Refused } from '../session.ts';
import { passing } from './failpoints.ts';
import { fenceKey, findApplied, findCheckpoint, hash, holdFence, type Ledger, recordLoad, text, whole } from './ledger.ts';
import { ordinal } from './statements.ts';
import type { TableSettings } from './table-target.ts';
import type { LandingColumn } from './write-columns.ts';
import { type Changed, writeTable } from './write-table.ts';

/** What a load has settled at its begin. */
export interface LoadWork {
  readonly settings: TableSettings;
  readonly context: Context;
  readonly load: LoadSpec;
  readonly fence: Fence;
  /** `replace` for an append that starts over. */
  readonly mode: TableSettings['mode'];
  readonly connected: Connected;
  readonly ledger: Ledger;
  readonly table: FoundTable;
  readonly landing: readonly LandingColumn[];
}

const weekMs = 7 * 24 * 60 * 60 * 1000;
/** Rows of one split are numbered from a multiple of this. */
const splitRows = 2n ** 40n;

/**
 * Rows wait in a table of the attempt's own, each split put there in a transaction of its own, until one transaction brings them all into
 * the target with receipt and checkpoint. DDL commits by itself in many databases, so none stands in that transaction.
 */
export async function stagedLoad(work: LoadWork): Promise<LoadSession> {
  const { load, fence, connected, ledger, context } = work;
  const { session, dialect } = connected;
  const staging = ledger.name(`millrace_s_${hash(load.id).slice(0, 10)}_${fence.epoch}`);
  await dropLeftovers(work);
  await ledger.session.query(
    `INSERT INTO ${ledger.name('millrace_staged')} (table_name, fence_key, attempt, staged_at) VALUES (?, ?, ?, ?)`,
    [text(staging), text(fenceKey(fence)), whole(fence.epoch), text(context.now().toISOString())],
  );
  const quote = quoter(session);
  const columns = work.landing.map(({ target }) => quote(target.name));
  await session.query(
    dialect.emptyCopy(staging, columns.join(', '), work.table.quoted),
    [],
    'a staging table (it needs the privilege to create tables)',
  );
  await session.query(`ALTER TABLE ${staging} ADD ${ordinal} ${dialect.ddlType({ kind: 'int8' }) ?? 'BIGINT'}`);
  passing('jdbc.load.begun');
  const writers = new Writers(work, Math.min(dialect.writers, load.parallel ? (work.settings.connection.maxConnections ?? 4) : 1));
  const staged = new Map<string, StagedPart>();
  let splits = 0n;

  let dropped = false;
  const drop = async (): Promise<void> => {
    if (!dropped) await dropStaging(work, staging);
    dropped = true;
  };
  return {
    applied: null,
    async stage(split, channel) {
      if (channel.format !== 'batches')
        throw new MillraceError('INTERNAL', { message: `A JDBC table was given ${channel.format}.`, remedy: 'Please report it.' });
      const writer = await writers.take();
      try {
        const before = staged.get(split.id);
        if (before) return before;
        const part = await stageSplit(work, writer, { staging, columns, first: splits++ * splitRows }, split, channel);
        staged.set(split.id, part);
        passing('jdbc.load.staged');
        return part;
      } catch (error) {
        await writer.kill();
        throw error;
      } finally {
        writers.giveBack(writer);
      }
    },
    async commit(parts, checkpoint) {
      if (parts.length !== staged.size || parts.some(({ split }) => !staged.has(split)))
        throw otherParts(work, 'was to commit parts that are not those of its session');
      const receipt = await commitLoad(work, staging, [...staged.values()], checkpoint);
      passing('jdbc.load.committed');
      await drop();
      return receipt;
    },
    async abort() {
      await writers.end();
      await drop();
    },
    async [Symbol.asyncDispose]() {
      await writers.end();
      await drop();
      await session[Symbol.asyncDispose]();
    },
  };
}

/** Connections that write, as many at once as the database bears. */
class Writers {
  readonly #work: LoadWork;
  readonly #most: number;
  readonly #idle: JdbcSession[] = [];
  readonly #all = new Set<JdbcSession>();
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(work: LoadWork, most: number) {
    this.#work = work;
    this.#most = most;
  }

  async take(): Promise<JdbcSession> {
    while (this.#busy >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy++;
    const idle = this.#idle.pop();
    if (idle) return idle;
    try {
      const { session } = await connect(this.#work.settings.connection, this.#work.context);
      this.#all.add(session);
      return session;
    } catch (error) {
      this.#busy--;
      this.#waiting.shift()?.();
      throw error;
    }
  }

  giveBack(session: JdbcSession): void {
    this.#busy--;
    if (session.ended) this.#all.delete(session);
    else this.#idle.push(session);
    this.#waiting.shift()?.();
  }

  async end(): Promise<void> {
    await Promise.all([...this.#all].map((session) => (this.#idle.includes(session) ? session[Symbol.asyncDispose]() : session.kill())));
    this.#all.clear();
    this.#idle.length = 0;
  }
}

interface Into {
  readonly staging: string;
  readonly columns: readonly string[];
  readonly first: bigint;
}

async function stageSplit(
  work: LoadWork,
  writer: JdbcSession,
  { staging, columns, first }: Into,
  split: Split,
  channel: Extract<Channel, { format: 'batches' }>,
): Promise<StagedPart> {
  const { landing, context, load } = work;
  const wire = [...landing.map((column) => column.wire), { name: ordinal, type: { kind: 'int8' }, nullable: false } as const];
  const toFrame = batchWriter(wire);
  const marks = [...landing.map(({ placeholder }) => placeholder), '?'];
  const sql = `INSERT INTO ${staging} (${[...columns, ordinal].join(', ')}) VALUES (${marks.join(', ')})`;
  const bigint = -5;
  await writer.transaction('begin');
  const insert = await writer.write(
    sql,
    [...landing.map(({ write }) => write), { name: ordinal, kind: 'long', sqlType: bigint }],
    load.reject !== undefined,
    work.settings.table.name,
  );
  let rows = 0;
  let bytes = 0;
  /** Batches whose answer is awaited, to be able to show a row that was refused. */
  const sent: { readonly batch: ColumnBatch; readonly first: number }[] = [];
  const settle = (refused: readonly Refused[] | null): void => {
    if (refused === null) return;
    const from = sent.shift();
    if (!from) return;
    rows -= refused.length;
    for (const { row, error } of refused)
      load.reject?.({ split: split.id, ordinal: from.first + row, row: rowJson(from.batch, row), error });
  };
  let next = 0;
  for await (const batch of channel.batches) {
    const frame = toFrame(numbered(batch, first + BigInt(next)));
    sent.push({ batch, first: next });
    next += batch.rowCount;
    rows += batch.rowCount;
    bytes += frame.length;
    settle(await insert.add(frame));
    context.progress({ rows: batch.rowCount, bytes: frame.length });
  }
  for (let refused = await insert.next(); refused !== null; refused = await insert.next()) settle(refused);
  await insert.end();
  await writer.transaction('commit');
  return { split: split.id, rows, bytes, detail: {} };
}

/** With the number of each row in one more column. */
function numbered(batch: ColumnBatch, first: bigint): ColumnBatch {
  const column = { name: ordinal, type: { kind: 'int8' }, nullable: false } as const;
  const vector = bigint64Vector(
    column.type,
    BigInt64Array.from({ length: batch.rowCount }, (_, row) => first + BigInt(row)),
  );
  return { schema: { columns: [...batch.schema.columns, column] }, rowCount: batch.rowCount, vectors: [...batch.vectors, vector] };
}

/**
 * The one transaction of a load. Locks are taken in one order (owner, fence, table), so two loads wait for each other and never in a circle.
 *
 * @throws ATTEMPT_FENCED, CHECKPOINT_MOVED, LOAD_CONFLICT
 */
async function commitLoad(work: LoadWork, staging: string, parts: readonly StagedPart[], checkpoint: Checkpoint): Promise<Receipt> {
  const { load, mode, fence, ledger, context } = work;
  const rows = parts.reduce((total, part) => total + part.rows, 0);
  const bytes = parts.reduce((total, part) => total + part.bytes, 0);
  return ledger.session.inTransaction(async () => {
    await holdFence(ledger, load.owner, fence, context.now());
    const earlier = await findApplied(ledger, load.id);
    if (earlier) return earlier;
    checkOrder(await findCheckpoint(ledger, load.owner), load, mode, checkpoint.window);
    passing('jdbc.load.fenced');
    const there = Number((await ledger.session.query(`SELECT COUNT(*) FROM ${staging}`)).rows[0]?.[0]);
    if (there !== rows) throw otherParts(work, `has staged ${rows} rows, of which ${there} are there`);
    const changed: Changed = await writeTable(work, staging, rows);
    passing('jdbc.load.written');
    const receipt: Receipt = { loadId: load.id, rows, bytes, changed, checkpoint };
    await recordLoad(ledger, load, receipt, context.now());
    passing('jdbc.load.recorded');
    return receipt;
  });
}

/** What earlier attempts and loads that nobody went on with have left. One that is in use still, by an attempt that does not know yet, stays. */
export async function dropLeftovers(work: Pick<LoadWork, 'ledger' | 'fence' | 'context'>): Promise<void> {
  const { ledger, fence, context } = work;
  const { rows } = await ledger.session.query(
    `SELECT table_name FROM ${ledger.name('millrace_staged')} WHERE (fence_key = ? AND attempt <= ?) OR staged_at < ?`,
    [text(fenceKey(fence)), whole(fence.epoch), text(new Date(context.now().getTime() - weekMs).toISOString())],
  );
  for (const [name] of rows) if (name) await dropStaging(work, name);
}

async function dropStaging({ ledger }: Pick<LoadWork, 'ledger'>, staging: string): Promise<void> {
  try {
    await ledger.session.query(`DROP TABLE ${staging}`);
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'TABLE_MISSING') return;
  }
  await ledger.session.query(`DELETE FROM ${ledger.name('millrace_staged')} WHERE table_name = ?`, [text(staging)]).catch(() => {}); // else the next load does it
}

const otherParts = (work: LoadWork, how: string): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `The load of ${work.settings.table.name} ${how}.`,
    remedy: 'Nothing to do: the load is done again.',
  });
