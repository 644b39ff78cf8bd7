import {
  beforeKinds,
  type ChangeGroup,
  type ChangeSink,
  type Channel,
  type Context,
  changeKinds,
  type Fence,
  MillraceError,
  type Position,
  type RowSchema,
  type SchemaChange,
  type SinkState,
  type SinkStream,
  type Split,
  type StagedPart,
  type StreamIdentity,
  type TableChanges,
  type TableCopy,
} from '@millrace/core/runtime';
import { assertFits, columnsLeftOut } from '../redis/schema-change.ts';
import { staged } from '../redis/table-copy.ts';
import { textRows } from '../redis/text-rows.ts';
import { type ApplySettings, formOf, problems } from './apply-target.ts';
import { type Cache, openCache } from './client.ts';
import { type Kept, keptOf, keyFor, secondsOf, valueFor } from './form.ts';
import { outOfOrder, Place } from './place.ts';
import { type Portion, Writing } from './writing.ts';

/** A group with nothing for us moves the place so often, and not oftener. */
const emptyMovesEveryMs = 1_000;

interface Begun {
  readonly cache: Cache;
  readonly place: Place;
  readonly stream: SinkStream;
}

/** Keys that follow a stream. What happens to them comes first, then the place moves: doing it again changes nothing. */
export class ApplySink implements ChangeSink {
  readonly #settings: ApplySettings;
  readonly #context: Context;
  #state: Begun | null = null;
  /** A position that only empty groups have brought. */
  #waiting: Position | null = null;
  #movedAt = 0;
  /** Nothing was written since all was thrown away. */
  #isEmpty = false;

  constructor(settings: ApplySettings, context: Context) {
    this.#settings = settings;
    this.#context = context;
  }

  async begin(stream: SinkStream, fence: Fence): Promise<SinkState> {
    const [problem] = problems(this.#settings, stream.tables);
    if (problem) throw new MillraceError('PIPELINE_INVALID', problem);
    const cache = await openCache(this.#settings.connection, this.#context);
    try {
      if (this.#settings.isWriting) assertSingle(cache);
      const owner = [stream.owner.pipeline, stream.owner.step].map(encodeURIComponent).join('/');
      const place = await Place.take(cache, { key: `millrace:${owner}`, owner, fence, at: '' });
      this.#state = { cache, place, stream };
      const { identity = null, position = null, copied = {} } = place.remembered;
      const followed = Object.fromEntries(Object.entries(copied).filter(([table]) => Object.hasOwn(stream.tables, table)));
      if (Object.keys(followed).length < Object.keys(copied).length) await place.move(() => ({ copied: followed }));
      return { identity, position, copied: followed, deadLetters: 0 };
    } catch (error) {
      await cache[Symbol.asyncDispose]();
      throw error;
    }
  }

  async follow(identity: StreamIdentity, position: Position): Promise<void> {
    const { place } = this.#begun;
    const { identity: before, copied = {} } = place.remembered;
    const isSame =
      before !== undefined && before.source === identity.source && before.slot === identity.slot && before.origin === identity.origin;
    // What has changed between two streams nobody says.
    await place.empty();
    await place.move(() => ({ identity, position, copied: isSame ? copied : {} }));
    this.#isEmpty = true;
    this.#settled();
  }

  /** Rows are written once, where nobody has any. Beside a stream that goes on they would be older than what is there: then all is thrown away. */
  async copy(table: string, how: 'fresh' | 'beside'): Promise<TableCopy> {
    const { place, stream } = this.#begun;
    const schema = stream.tables[table];
    if (!schema) throw outOfOrder(`"${table}" is none of the stream's tables.`);
    const isWritten = this.#settings.isWriting && how === 'fresh';
    if (isWritten && !this.#isEmpty) await place.empty();
    return {
      stage: (split: Split, channel: Channel): Promise<StagedPart> =>
        staged(split, channel, this.#context, async (batch) => {
          if (!isWritten) return batch.rowCount;
          const kept = this.#keptOf(table, channel.schema);
          const writing = this.#writing();
          const rowAt = textRows(batch, kept.names);
          for (let row = 0; row < batch.rowCount; row++) {
            const values = rowAt(row);
            if (writing.add(this.#portionOf(kept), keyFor(kept.form, values), valueFor(kept, values))) await writing.write();
          }
          await writing.write();
          return batch.rowCount;
        }),
      async apply(group: ChangeGroup) {
        for await (const _ of group.parts);
      },
      finish: async (position) => {
        if (!isWritten && !this.#isEmpty) await place.empty();
        await place.move(({ copied }) => ({ copied: { ...copied, [table]: position } }));
      },
      async [Symbol.asyncDispose]() {},
    };
  }

  async apply(group: ChangeGroup): Promise<Position> {
    const { place } = this.#begun;
    const { position } = place.remembered;
    if (position === undefined) throw outOfOrder('Changes came before the stream had a beginning.');
    if (group.transactions.length === 0) return this.#pass(group.position(), position);
    if (group.size !== null && group.position() <= position) return position;
    this.#isEmpty = false;
    await place.check();
    const writing = this.#writing();
    for await (const part of group.parts) {
      this.#context.signal.throwIfAborted();
      if (part.kind === 'schema') this.#assertKept(part);
      else if (part.kind === 'truncate') {
        writing.forget();
        await place.empty();
      } else await this.#changed(part, writing);
    }
    await writing.write();
    const to = group.position();
    if (to > position) await place.move(() => ({ position: to }));
    this.#settled();
    return place.remembered.position as Position;
  }

  async flush(): Promise<Position> {
    const { place } = this.#begun;
    if (this.#waiting !== null) await this.#moveTo(this.#waiting);
    const { position } = place.remembered;
    if (position === undefined) throw outOfOrder('The sink follows no stream yet.');
    return position;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#state?.cache[Symbol.asyncDispose]();
  }

  async #changed(part: TableChanges, writing: Writing): Promise<void> {
    const kept = this.#keptOf(part.table, part.rows.schema);
    const portion = this.#portionOf(kept);
    const rowAt = textRows(part.rows, kept.names);
    const oldAt = part.old && textRows(part.old, new Set(kept.form.template.columns));
    for (const [row, kind] of part.kinds.entries()) {
      const old = oldAt && part.before[row] !== beforeKinds.none ? keyFor(kept.form, oldAt(row)) : null;
      let isFull = false;
      if (kind !== changeKinds.delete) {
        const values = rowAt(row);
        const key = keyFor(kept.form, values);
        if (old !== null && old !== key) isFull = writing.add(portion, old, null);
        isFull = writing.add(portion, key, this.#settings.isWriting ? valueFor(kept, values) : null) || isFull;
      } else if (old !== null) isFull = writing.add(portion, old, null);
      if (isFull) await writing.write();
    }
  }

  #assertKept(change: SchemaChange): void {
    const { stream } = this.#begun;
    const { table, schema } = change;
    const form = formOf(this.#settings, table, stream.tables[table] ?? schema);
    if (this.#settings.isWriting) columnsLeftOut(change, stream.policy, { has: null, form, pipeline: stream.owner.pipeline });
    assertFits(table, form, schema.columns);
  }

  async #pass(to: Position, position: Position): Promise<Position> {
    if (to <= position) return position;
    if (this.#context.now().getTime() - this.#movedAt >= emptyMovesEveryMs) await this.#moveTo(to);
    else this.#waiting = to;
    return this.#begun.place.remembered.position as Position;
  }

  async #moveTo(position: Position): Promise<void> {
    await this.#begun.place.move(() => ({ position }));
    this.#settled();
  }

  #settled(): void {
    this.#waiting = null;
    this.#movedAt = this.#context.now().getTime();
  }

  #keptOf(table: string, schema: RowSchema): Kept {
    return keptOf(formOf(this.#settings, table, this.#begun.stream.tables[table] ?? schema), schema.columns);
  }

  #portionOf({ form }: Kept): Portion {
    return { seconds: secondsOf(form, this.#context.now().getTime()) };
  }

  #writing(): Writing {
    const { cache, place } = this.#begun;
    return new Writing(cache.nodes, () => (this.#settings.isWriting ? place.check() : Promise.resolve()));
  }

  get #begun(): Begun {
    if (this.#state) return this.#state;
    throw outOfOrder('The stream was not begun.');
  }
}

/** @throws CONFIG_INVALID where it has more nodes than one, over which each client spreads keys in its own way */
export function assertSingle({ nodes }: Cache): void {
  if (nodes.length === 1) return;
  throw new MillraceError('CONFIG_INVALID', {
    message: `The cache has ${nodes.length} nodes, and on which of them a reader looks for a key nobody knows here.`,
    remedy: "Name a single node, or follow changes with mode 'invalidate', which deletes keys on all of them.",
  });
}
