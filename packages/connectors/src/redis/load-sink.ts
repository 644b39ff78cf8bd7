import {
  type Channel,
  type Checkpoint,
  type Context,
  type Fence,
  type LoadOwner,
  type LoadSession,
  type LoadSpec,
  MillraceError,
  type Receipt,
  rowJson,
  type Sink,
  type Split,
  type StagedPart,
} from '@millrace/core/runtime';
import { openRedis, type RedisClient } from './client.ts';
import type { Command } from './command.ts';
import { lost } from './failure.ts';
import { textsOf } from './form.ts';
import { Hold } from './hold.ts';
import { KeptTable } from './kept-table.ts';
import { sharedTag } from './key-template.ts';
import type { LoadSettings } from './load-target.ts';
import { Staging } from './staging.ts';
import { assertSuitable } from './suitable.ts';
import { batchCommands, replacement, staged } from './table-copy.ts';

/** Receipts of so many loads are kept: an attempt that comes later than that has been fenced off long before. */
const keptReceipts = 100;
const replicaMs = 30_000;

/** Rows become keys that nobody sees, and all of them the keys they are to be when the load commits. */
export class LoadSink implements Sink {
  readonly #client: RedisClient;
  readonly #settings: LoadSettings;
  readonly #context: Context;

  private constructor(client: RedisClient, settings: LoadSettings, context: Context) {
    this.#client = client;
    this.#settings = settings;
    this.#context = context;
  }

  static async open(settings: LoadSettings, context: Context): Promise<LoadSink> {
    const client = await openRedis(settings.connection, context);
    try {
      await assertSuitable(client, settings.connection);
      return new LoadSink(client, settings, context);
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  async checkpoint(owner: LoadOwner): Promise<Checkpoint | null> {
    const text = (await this.#client.ask('HGET', this.#stateOf(owner), 'checkpoint')) as string | null;
    return text === null ? null : (JSON.parse(text) as Checkpoint);
  }

  async begin(load: LoadSpec, fence: Fence): Promise<LoadSession> {
    const { connection, form } = this.#settings;
    const hold = await Hold.take(this.#client, {
      state: this.#stateOf(load.owner),
      owner: ownerOf(load.owner),
      fence,
      at: load.runAt,
      spread: connection.cluster && sharedTag(textsOf(form)) === null,
    });
    const receipts = JSON.parse(hold.field('receipts') ?? '[]') as Receipt[];
    const applied = receipts.find(({ loadId }) => loadId === load.id) ?? null;
    if (applied) await assertReplicated(hold, connection.replicas);
    await Staging.clear(hold);
    const staging = applied ? null : await Staging.open(hold, `load-${fence.epoch}`);
    const kept = new KeptTable(this.#client, load.owner.step, form, load.schema.columns);
    return new KeysSession({ ...this.#settings, context: this.#context, hold, load, receipts, applied, staging, kept });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  #stateOf(owner: LoadOwner): string {
    return `millrace:{${sharedTag(textsOf(this.#settings.form)) ?? ownerOf(owner)}}:load:${ownerOf(owner)}`;
  }
}

const ownerOf = ({ pipeline, step }: LoadOwner): string => [pipeline, step].map(encodeURIComponent).join('/');

interface OpenSession extends LoadSettings {
  readonly context: Context;
  readonly hold: Hold;
  readonly load: LoadSpec;
  /** Of the loads before this one, newest last. */
  readonly receipts: readonly Receipt[];
  readonly applied: Receipt | null;
  readonly staging: Staging | null;
  readonly kept: KeptTable;
}

class KeysSession implements LoadSession {
  readonly applied: Receipt | null;
  readonly #open: OpenSession;
  #isOver = false;

  constructor(open: OpenSession) {
    this.#open = open;
    this.applied = open.applied;
  }

  async stage(split: Split, channel: Channel): Promise<StagedPart> {
    const { kept, context, load } = this.#open;
    const staging = this.#staging;
    return staged(split, channel, context, async (batch, first) => {
      const { keys, commands } = batchCommands(kept.at(staging), batch, (row, error) => {
        if (!load.reject || !(error instanceof MillraceError)) throw error;
        load.reject({ split: split.id, ordinal: first + row, row: rowJson(batch, row), error });
      });
      await staging.put(keys, commands);
      return keys.length;
    });
  }

  async commit(parts: readonly StagedPart[], checkpoint: Checkpoint): Promise<Receipt> {
    const { hold, load, receipts, kept, mode, connection } = this.#open;
    const staging = this.#staging;
    const before = JSON.parse(hold.field('checkpoint') ?? 'null') as Checkpoint | null;
    if (load.window && !load.fullRefresh && (before?.window?.high ?? null) !== load.window.low)
      throw before === null ? lost(ownerOf(load.owner), hold.client.place, 'does not remember') : moved(load, before);
    const receipt: Receipt = { loadId: load.id, rows: parts.reduce((sum, { rows }) => sum + rows, 0), bytes: 0, checkpoint };
    const commands = mode === 'replace' || load.fullRefresh ? replacement(kept, staging) : merging(kept, staging);
    const noted = ['receipts', JSON.stringify([...receipts, receipt].slice(-keptReceipts)), 'checkpoint', JSON.stringify(checkpoint)];
    await hold.commit(commands, [['HSET', hold.state, ...noted], ...staging.settling]);
    this.#isOver = true;
    await assertReplicated(hold, connection.replicas);
    return receipt;
  }

  async abort(): Promise<void> {
    this.#isOver = true;
    await this.#open.staging?.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What an attempt leaves without a word, the next one clears away.
    if (this.#isOver || this.#open.context.signal.aborted) return;
    await this.#open.staging?.clear().catch(() => {});
  }

  get #staging(): Staging {
    const { staging } = this.#open;
    if (staging) return staging;
    throw new MillraceError('INTERNAL', { message: 'Rows came for a load that is applied.', remedy: 'Please report it.' });
  }
}

/** Puts what is staged in the place of what is there, and moves it in sorted sets. */
async function* merging(kept: KeptTable, staging: Staging): AsyncGenerator<Command> {
  const elsewhere = kept.at(staging);
  const isSorted = kept.form.sorted.length > 0;
  for await (const keys of isSorted ? staging.keys() : []) {
    const [before, after] = await Promise.all([kept.read(keys), elsewhere.read(keys)]);
    for (const key of keys) yield* kept.leave(before.get(key) ?? null, after.get(key) ?? null);
  }
  for await (const keys of staging.keys()) {
    const rows = isSorted ? await elsewhere.read(keys) : null;
    const there = kept.form.as === 'string' ? await staging.staged(keys) : null; // one that is NULL has no key
    for (const key of keys) {
      if (there?.has(key) ?? true) yield* kept.adopt(key, staging);
      else yield kept.remove(key);
      yield* kept.enter(rows?.get(key) ?? null);
    }
  }
}

/** @throws REMOTE_UNAVAILABLE where too few replicas have what was written */
async function assertReplicated({ client }: Hold, replicas: number): Promise<void> {
  if (replicas === 0 || (await client.replicated(replicas, replicaMs)) >= replicas) return;
  throw new MillraceError('REMOTE_UNAVAILABLE', {
    message: `Fewer than ${replicas} replicas of Redis at ${client.place} have what was loaded.`,
    remedy: 'Look after its replicas, or lower `replicas`. The load itself is there; tried again with backoff.',
  });
}

const moved = (load: LoadSpec, before: Checkpoint | null): MillraceError =>
  new MillraceError('CHECKPOINT_MOVED', {
    message: `The checkpoint of "${load.owner.step}" is at ${before?.window?.high ?? 'the beginning'}, and this load begins at ${load.window?.low ?? 'the beginning'}.`,
    remedy: 'A later run has loaded these rows. Cancel this run; nothing is missing.',
    facts: { load: load.id },
  });
