import { join } from 'node:path';
import {
  type ChangeGroup,
  type ChangePart,
  type ChangeSink,
  type Context,
  type Fence,
  MillraceError,
  type Position,
  type SinkState,
  type SinkStream,
  type StreamIdentity,
  type TableCopy,
} from '@millrace/core/runtime';
import { ChangeSpool } from '../../s3/changelog/change-spool.ts';
import { isDue } from '../../s3/changelog/roll.ts';
import { Turns } from '../../s3/changelog/turns.ts';
import { openStorage } from '../../s3/open-storage.ts';
import { quoteTable } from '../name.ts';
import { passing } from './failpoints.ts';
import { MirrorCopy } from './mirror-copy.ts';
import type { MirrorTable } from './mirror-warehouse.ts';
import { Rounds } from './rounds.ts';
import { assertAllowed } from './schema-statements.ts';
import { keyOf, type MirrorSettings, targetName, targetTable } from './settings.ts';
import { stagedRows, stampText } from './staged-rows.ts';
import { MirrorArea, type StagedFile } from './staging-area.ts';
import { forgetTables, openStreamLedger, readStream, recordStream } from './stream-ledger.ts';
import { type Attempt, mirrorSession, transact } from './transact.ts';
import { writeSteps } from './write-steps.ts';

/** More steps than this make a transaction of their own, once the group is whole. */
const mostSteps = 1_000;

/**
 * Tables of a warehouse that follow a stream. Changes wait in the spool until a roll: files, and one transaction that copies them in, applies
 * them by key and moves the position. What is in no such transaction yet the source remembers.
 */
export class MirrorSink implements ChangeSink {
  readonly #settings: MirrorSettings;
  readonly #context: Context;
  readonly #spool: ChangeSpool;
  readonly #timer: NodeJS.Timeout;
  readonly #turns = new Turns();
  #begun: Begun | null = null;
  #identity: StreamIdentity | null = null;
  #durable: Position | null = null;
  /** As the next transaction will have it. */
  #position: Position | null = null;
  #rounds = new Rounds();
  #files: StagedFile[] = [];
  #since: number | null = null;

  constructor(settings: MirrorSettings, context: Context) {
    this.#settings = settings;
    this.#context = context;
    this.#spool = new ChangeSpool(join(context.spool, 'mirror'));
    // Changes must be seen in time where no others follow that would bring them along.
    this.#timer = setInterval(() => this.#tick(), Math.max(50, Math.min(1_000, settings.roll.everyMs / 4))).unref();
  }

  begin(stream: SinkStream, fence: Fence): Promise<SinkState> {
    return this.#turns.take(async () => {
      const attempt: Attempt = { settings: this.#settings, context: this.#context, owner: stream.owner, fence };
      const { staging, prefix } = this.#settings;
      const url = typeof staging.url === 'string' ? staging.url : await this.#context.secret(staging.url);
      const area = new MirrorArea(await openStorage(url, staging.settings, this.#context, prefix), this.#context, stream.owner, fence);
      const begun: Begun = { attempt, area, stream, tables: new Map(), keys: new Map() };
      this.#begun = begun;
      const state = await this.#takeOver(begun);
      await area.tidy('of earlier attempts');
      this.#identity = state.identity;
      this.#durable = state.position;
      this.#position = state.position;
      return state;
    });
  }

  follow(identity: StreamIdentity, position: Position): Promise<void> {
    return this.#turns.take(async () => {
      await this.#roll();
      const { attempt } = this.#running;
      const anew = this.#identity !== null && !sameStream(this.#identity, identity);
      await transact(
        attempt,
        (session) => recordStream(session, attempt.owner, { identity, position, anew, now: this.#context.now() }),
        (state) => state.identity !== null && sameStream(state.identity, identity) && state.position === position,
      );
      this.#identity = identity;
      this.#durable = position;
      this.#position = position;
      passing('redshift.apply.followed');
    });
  }

  async copy(table: string, _how: 'fresh' | 'beside'): Promise<TableCopy> {
    const { attempt, area, stream, keys } = this.#running;
    return new MirrorCopy({
      table,
      key: keys.get(table) ?? keyOf(table, stream.tables[table] ?? { columns: [] }),
      attempt,
      area,
      stream,
      tableOf: (name) => this.#tableOf(name),
      append: (spool, rounds, group) => this.#append(spool, rounds, group, async () => {}),
      finish: (work) =>
        this.#turns.take(async () => {
          await this.#roll();
          if (!this.#identity || !this.#position) throw outOfOrder('A table was copied before the stream was followed.');
          await work(this.#identity, this.#position);
        }),
    });
  }

  apply(group: ChangeGroup): Promise<Position> {
    return this.#turns.take(async () => {
      await this.#append(this.#spool, this.#rounds, group, async () => {
        if (this.#spool.bytes >= this.#settings.roll.bytes) await this.#stage();
      });
      const position = group.position();
      // Where other sinks are behind, groups come that this one has already.
      if (this.#position === null || position > this.#position) this.#position = position;
      this.#since ??= this.#context.now().getTime();
      if (this.#isDue()) await this.#roll();
      return this.#reached();
    });
  }

  flush(): Promise<Position> {
    return this.#turns.take(async () => {
      await this.#roll();
      return this.#reached();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#turns.ended();
    await this.#spool[Symbol.asyncDispose]();
    await this.#begun?.area[Symbol.asyncDispose]();
  }

  /** Fences off what came before, and makes what is missing. */
  async #takeOver({ attempt, stream, tables, keys }: Begun): Promise<SinkState> {
    const { session, warehouse } = await mirrorSession(attempt);
    await using _session = session;
    await warehouse.ledger.open(session);
    await openStreamLedger(session, warehouse);
    await warehouse.ledger.take(session, attempt.fence);
    passing('redshift.apply.taken-over');
    const { copied, ...stored } = await readStream(session, stream.owner);
    const left = Object.keys(copied).filter((table) => !Object.hasOwn(stream.tables, table));
    await forgetTables(session, stream.owner, left);
    const state = { ...stored, copied: Object.fromEntries(Object.entries(copied).filter(([table]) => !left.includes(table))) };
    for (const [table, rows] of Object.entries(stream.tables)) {
      const name = targetName(this.#settings, table, rows);
      const mirrored: MirrorTable = { name, text: quoteTable(name), quoted: quoteTable(name) };
      tables.set(table, mirrored);
      keys.set(table, keyOf(table, rows));
      // From its first copy on a table changes with the stream, and may be ahead of its declaration.
      if (Object.hasOwn(state.copied, table) && (await warehouse.columnsOf(session, mirrored)) !== null) continue;
      await warehouse.prepare(session, this.#settings, targetTable(this.#settings, mirrored.text, rows));
    }
    return state;
  }

  #tick(): void {
    // Its failure is the next call's.
    if (this.#isDue()) void this.#turns.take(() => (this.#isDue() ? this.#roll() : Promise.resolve())).catch(() => {});
  }

  #isDue(): boolean {
    const { roll } = this.#settings;
    const isFull = this.#files.length > 0 || this.#rounds.stepCount >= mostSteps;
    const buffered = { bytes: isFull ? roll.bytes : this.#spool.bytes, rows: this.#rounds.stepCount > 0, since: this.#since };
    return isDue(buffered, roll, this.#context.now().getTime());
  }

  async #append(spool: ChangeSpool, rounds: Rounds, group: ChangeGroup, afterPart: () => Promise<void>): Promise<void> {
    for await (const part of group.parts) {
      this.#context.signal.throwIfAborted();
      await this.#appendPart(spool, rounds, part, group);
      await afterPart();
    }
  }

  async #appendPart(spool: ChangeSpool, rounds: Rounds, part: ChangePart, { transactions }: ChangeGroup): Promise<void> {
    const { stream, keys } = this.#running;
    switch (part.kind) {
      case 'truncate':
        for (const table of part.tables) rounds.truncate(table, stampText(transactions[part.transaction]!));
        return;
      case 'schema': {
        const key = keys.get(part.table) ?? [];
        assertAllowed(part, stream.policy, key);
        keys.set(part.table, part.schema.key ?? key);
        rounds.schema(part);
        return;
      }
      case 'changes': {
        const { table, rows } = part;
        const key = rows.schema.key ?? keys.get(table) ?? [];
        const batch = stagedRows(part, transactions, key, rounds);
        const first = transactions[part.transactions[0]!]!.commit;
        await spool.append(table, batch, first, transactions[part.transactions.at(-1)!]!.commit);
        return;
      }
      default:
        part satisfies never;
    }
  }

  /** What waits becomes files of the staging area, which nothing applies yet. */
  async #stage(): Promise<void> {
    for (const segment of this.#spool.take()) this.#files.push(await this.#running.area.put(segment));
  }

  async #roll(): Promise<void> {
    const { attempt, area, stream } = this.#running;
    const [identity, position] = [this.#identity, this.#position];
    if (position === this.#durable) {
      this.#since = null;
      return;
    }
    if (!identity || !position) throw outOfOrder('Changes came before the stream had a beginning.');
    await this.#stage();
    const files = this.#files;
    const steps = this.#rounds.steps;
    await transact(
      attempt,
      async (session, warehouse) => {
        const { settings, context } = attempt;
        const tableOf = (name: string) => this.#tableOf(name);
        await writeSteps({ session, warehouse, settings, context, area, stream, tableOf }, steps, files);
        await recordStream(session, attempt.owner, { identity, position, now: context.now() });
      },
      (state) => state.position === position,
    );
    this.#durable = position;
    this.#files = [];
    this.#rounds = new Rounds();
    this.#since = null;
    if (files.length > 0) await area.tidy(files);
  }

  #tableOf(name: string): MirrorTable {
    const table = this.#running.tables.get(name);
    if (table) return table;
    throw outOfOrder(`"${name}" is none of the stream's tables.`);
  }

  #reached(): Position {
    if (this.#durable === null) throw outOfOrder('Changes came before the stream had a beginning.');
    return this.#durable;
  }

  get #running(): Begun {
    if (this.#begun) return this.#begun;
    throw outOfOrder('The warehouse was used before begin().');
  }
}

interface Begun {
  readonly attempt: Attempt;
  readonly area: MirrorArea;
  readonly stream: SinkStream;
  readonly tables: Map<string, MirrorTable>;
  /** As the columns are called now. */
  readonly keys: Map<string, readonly string[]>;
}

const sameStream = (a: StreamIdentity, b: StreamIdentity): boolean => a.source === b.source && a.slot === b.slot && a.origin === b.origin;

const outOfOrder = (message: string): MillraceError => new MillraceError('INTERNAL', { message, remedy: 'Please report it.' });
