import {
  type ChangeGroup,
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
import { type ApplySettings, formOf, problems } from './apply-target.ts';
import { openRedis, type RedisClient } from './client.ts';
import type { Command } from './command.ts';
import { passing } from './failpoints.ts';
import { refuseKeysOfOthers } from './foreign-keys.ts';
import { textsOf } from './form.ts';
import { Hold } from './hold.ts';
import { KeptTable } from './kept-table.ts';
import { sharedTag } from './key-template.ts';
import { Pending } from './pending.ts';
import { assertFits, columnsLeftOut } from './schema-change.ts';
import { Spill } from './spill.ts';
import { Staging } from './staging.ts';
import { StreamFields } from './stream-fields.ts';
import { assertSuitable } from './suitable.ts';
import { besideCopy, type CopyHome, freshCopy, wipe } from './table-copy.ts';

/** A group with nothing for us moves the position so often, and not oftener. */
const emptyMovesEveryMs = 1_000;
const replicaMs = { apply: 1_000, flush: 10_000 } as const;

interface Begun {
  readonly client: RedisClient;
  readonly hold: Hold;
  readonly stream: SinkStream;
  /** Another one with each group that was applied. */
  now: Known;
}

interface Known {
  readonly fields: StreamFields;
  /** As they are now: a change of columns puts another one in a table's place. */
  readonly tables: Map<string, KeptTable>;
}

/** Keys that follow a stream: what they are, how far it has come and whose turn it is stand in one Redis, and change in one act. */
export class ApplySink implements ChangeSink {
  readonly #settings: ApplySettings;
  readonly #context: Context;
  #client: RedisClient | null = null;
  #state: Begun | null = null;
  /** A position that only empty groups have brought. */
  #waiting: Position | null = null;
  #movedAt = 0;
  /** As far as enough replicas have it. */
  #durable: Position | null = null;
  #copies = 0;

  constructor(settings: ApplySettings, context: Context) {
    this.#settings = settings;
    this.#context = context;
  }

  async begin(stream: SinkStream, fence: Fence): Promise<SinkState> {
    const [problem] = problems(this.#settings, stream.tables);
    if (problem) throw new MillraceError('PIPELINE_INVALID', problem);
    const client = await openRedis(this.#settings.connection, this.#context);
    this.#client = client;
    await assertSuitable(client, this.#settings.connection);
    const names = Object.keys(stream.tables);
    const owner = [stream.owner.pipeline, stream.owner.step].map(encodeURIComponent).join('/');
    const tag = sharedTag(Object.entries(stream.tables).flatMap(([table, schema]) => textsOf(formOf(this.#settings, table, schema))));
    const hold = await Hold.take(client, {
      state: `millrace:{${tag ?? owner}}:${owner}`,
      owner,
      fence,
      at: '',
      spread: this.#settings.connection.cluster && tag === null,
    });
    await Staging.clear(hold);
    const fields = new StreamFields(hold.state, hold.fields);
    await hold.note(fields.leave(names));
    this.#state = { client, hold, stream, now: { fields, tables: new Map() } };
    for (const [table, schema] of Object.entries(stream.tables)) this.#kept(table, schema);
    this.#durable = fields.position;
    return fields.sinkState(names);
  }

  async copy(table: string, how: 'fresh' | 'beside'): Promise<TableCopy> {
    const { hold, now } = this.#begun;
    const { fields } = now;
    const kept = now.tables.get(table);
    if (!kept) throw outOfOrder(`"${table}" is none of the stream's tables.`);
    const invalidate = this.#settings.mode === 'invalidate';
    const home: CopyHome = {
      hold,
      context: this.#context,
      invalidate,
      budget: this.#context.memoryBudget,
      kept: (schema) => this.#kept(table, schema),
      copied: (columns, position) => this.#begun.now.fields.copied(table, columns, position),
    };
    if (how === 'beside') return besideCopy(home, kept, `${hold.epoch}-${++this.#copies}`);
    if (!invalidate) {
      if (!fields.isBegun(table)) await refuseKeysOfOthers(kept, hold);
      await hold.note(fields.begin(table));
      await wipe(hold, kept);
    }
    return freshCopy(home, kept);
  }

  async follow(identity: StreamIdentity, position: Position): Promise<void> {
    const { hold, now } = this.#begun;
    const { fields, tables } = now;
    // What has changed between two streams nobody says.
    if (this.#settings.mode === 'invalidate') for (const kept of tables.values()) await wipe(hold, kept);
    await hold.note(fields.follow(identity, position));
    passing('redis.followed');
    this.#durable = null; // that was another stream's
    this.#settled(position);
  }

  async apply(group: ChangeGroup): Promise<Position> {
    const { hold, now } = this.#begun;
    const { position } = now.fields;
    if (position === null) throw outOfOrder('Changes came before the stream had a beginning.');
    if (group.transactions.length === 0) return this.#pass(group.position());
    if (group.size !== null && group.position() <= position) return this.#durable ?? position;
    const next: Known = { fields: now.fields.copy(), tables: new Map(now.tables) };
    const spill = new Spill(hold);
    const pending = new Pending(next.tables, {
      invalidate: this.#settings.mode === 'invalidate',
      budget: this.#context.memoryBudget,
      spill,
    });
    hold.discard();
    const settling: Command[] = [];
    for await (const part of group.parts) {
      this.#context.signal.throwIfAborted();
      if (part.kind === 'schema') {
        settling.push(...this.#changed(part, next));
        continue;
      }
      if (part.kind === 'changes') this.#kept(part.table, part.rows.schema, next);
      await pending.add(part, group);
      if (!pending.isFull) continue;
      await hold.ahead(pending.commands(), position);
      await pending.spilled();
    }
    const to = group.position();
    if (to <= position) return this.#durable ?? position;
    await hold.commit(pending.commands(), [...settling, ...spill.settling, ...next.fields.move(to)], position);
    this.#begun.now = next;
    this.#settled(to);
    return this.#replicated(replicaMs.apply);
  }

  async flush(): Promise<Position> {
    if (this.#waiting !== null) await this.#moveTo(this.#waiting);
    const { position } = this.#begun.now.fields;
    if (position === null) throw outOfOrder('The sink follows no stream yet.');
    const durable = await this.#replicated(replicaMs.flush);
    if (durable === position) return position;
    throw new MillraceError('REMOTE_UNAVAILABLE', {
      message: `Fewer than ${this.#settings.connection.replicas} replicas of Redis at ${this.#begun.client.place} have what was written.`,
      remedy: 'Look after its replicas, or lower `replicas`. Tried again with backoff.',
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
  }

  async #pass(to: Position): Promise<Position> {
    const position = this.#begun.now.fields.position as Position;
    if (to > position) {
      if (this.#context.now().getTime() - this.#movedAt >= emptyMovesEveryMs) await this.#moveTo(to);
      else this.#waiting = to;
    }
    return this.#replicated(replicaMs.apply);
  }

  async #moveTo(to: Position): Promise<void> {
    const { hold, now } = this.#begun;
    const { fields } = now;
    const { position } = fields;
    await hold.note(fields.move(to), position);
    this.#settled(to);
  }

  #settled(position: Position): void {
    this.#waiting = null;
    this.#movedAt = this.#context.now().getTime();
    if (this.#settings.connection.replicas === 0 || this.#durable === null) this.#durable = position;
  }

  /** How far it is durable: where the replicas are asked for, what they have. */
  async #replicated(ms: number): Promise<Position> {
    const { client, now } = this.#begun;
    const position = now.fields.position as Position;
    const { replicas } = this.#settings.connection;
    if (replicas > 0 && this.#durable !== position && (await client.replicated(replicas, ms)) >= replicas) this.#durable = position;
    return this.#durable ?? position;
  }

  /** The table with the columns that come now. */
  #kept(table: string, schema: RowSchema, { fields, tables }: Known = this.#begun.now): KeptTable {
    const { client, stream } = this.#begun;
    const leftOut = fields.withoutOf(table);
    const columns = schema.columns.filter(({ name }) => !leftOut.includes(name));
    const known = tables.get(table);
    const kept = known
      ? known.withColumns(columns)
      : new KeptTable(client, table, formOf(this.#settings, table, stream.tables[table] ?? schema), columns);
    tables.set(table, kept);
    return kept;
  }

  #changed(change: SchemaChange, next: Known): Command[] {
    const { stream } = this.#begun;
    const { fields } = next;
    const { table, schema } = change;
    const form = formOf(this.#settings, table, stream.tables[table] ?? schema);
    const more =
      this.#settings.mode === 'invalidate'
        ? []
        : columnsLeftOut(change, stream.policy, { has: fields.columnsOf(table), form, pipeline: stream.owner.pipeline });
    const names = new Set(schema.columns.map(({ name }) => name));
    const leftOut = [...new Set([...fields.withoutOf(table), ...more])].filter((name) => names.has(name));
    const columns = schema.columns.filter(({ name }) => !leftOut.includes(name));
    assertFits(table, form, columns);
    const commands = fields.changed(table, { columns }, leftOut);
    this.#kept(table, schema, next);
    return commands;
  }

  get #begun(): Begun {
    if (this.#state) return this.#state;
    throw outOfOrder('The stream was not begun.');
  }
}

const outOfOrder = (message: string): MillraceError => new MillraceError('INTERNAL', { message, remedy: 'Please report it.' });
