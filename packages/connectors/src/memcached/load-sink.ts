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
import { staged } from '../redis/table-copy.ts';
import { textRows } from '../redis/text-rows.ts';
import { assertSingle } from './apply-sink.ts';
import { type Cache, openCache } from './client.ts';
import { lost } from './failure.ts';
import { keptOf, keyFor, secondsOf, valueFor } from './form.ts';
import type { LoadSettings } from './load-target.ts';
import { Place, type Remembered } from './place.ts';
import { Writing } from './writing.ts';

/** Receipts of so many loads are kept. */
const keptReceipts = 50;

/** Keys are there as soon as they are written: a load can be repeated, not taken back. */
export class LoadSink implements Sink {
  readonly #cache: Cache;
  readonly #settings: LoadSettings;
  readonly #context: Context;

  private constructor(cache: Cache, settings: LoadSettings, context: Context) {
    this.#cache = cache;
    this.#settings = settings;
    this.#context = context;
  }

  static async open(settings: LoadSettings, context: Context): Promise<LoadSink> {
    const cache = await openCache(settings.connection, context);
    try {
      assertSingle(cache);
      return new LoadSink(cache, settings, context);
    } catch (error) {
      await cache[Symbol.asyncDispose]();
      throw error;
    }
  }

  async checkpoint(owner: LoadOwner): Promise<Checkpoint | null> {
    const [node] = this.#cache.nodes;
    const found = await node?.read(keyOf(owner));
    return found ? ((JSON.parse(found.text) as Remembered).checkpoint ?? null) : null;
  }

  async begin(load: LoadSpec, fence: Fence): Promise<LoadSession> {
    const owner = [load.owner.pipeline, load.owner.step].join('/');
    const place = await Place.take(this.#cache, { key: keyOf(load.owner), owner, fence, at: load.runAt });
    const { receipts = [], checkpoint = null } = place.remembered;
    const applied = receipts.find(({ loadId }) => loadId === load.id) ?? null;
    if (!applied) assertFollows(load, checkpoint, owner, this.#cache.nodes[0]?.place ?? '');
    const kept = keptOf(this.#settings.form, load.schema.columns);
    const { form } = kept;
    const [context, nodes] = [this.#context, this.#cache.nodes];
    return {
      applied,
      stage: (split: Split, channel: Channel): Promise<StagedPart> =>
        staged(split, channel, context, async (batch, first) => {
          const writing = new Writing(nodes, () => place.check());
          const rowAt = textRows(batch, kept.names);
          let rows = 0;
          for (let row = 0; row < batch.rowCount; row++) {
            try {
              const values = rowAt(row);
              const isFull = writing.add(
                { seconds: secondsOf(form, context.now().getTime()) },
                keyFor(form, values),
                valueFor(kept, values),
              );
              rows++;
              if (!isFull) continue;
            } catch (error) {
              if (!load.reject || !(error instanceof MillraceError)) throw error;
              load.reject({ split: split.id, ordinal: first + row, row: rowJson(batch, row), error });
              continue;
            }
            await writing.write();
          }
          await writing.write();
          return rows;
        }),
      async commit(parts: readonly StagedPart[], checkpoint: Checkpoint): Promise<Receipt> {
        const receipt: Receipt = { loadId: load.id, rows: parts.reduce((sum, { rows }) => sum + rows, 0), bytes: 0, checkpoint };
        await place.move(() => ({ checkpoint, receipts: [...receipts, receipt].slice(-keptReceipts) }));
        return receipt;
      },
      /** What was written stays: it is what the rows are, and is written again. */
      async abort() {},
      async [Symbol.asyncDispose]() {},
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cache[Symbol.asyncDispose]();
  }
}

const keyOf = ({ pipeline, step }: LoadOwner): string => `millrace:load:${[pipeline, step].map(encodeURIComponent).join('/')}`;

/** Before anything is written, since that stays. @throws CHECKPOINT_MOVED, CACHE_LOST */
function assertFollows({ id, window, fullRefresh }: LoadSpec, checkpoint: Checkpoint | null, owner: string, place: string): void {
  const before = checkpoint?.window?.high ?? null;
  if (!window || fullRefresh || before === window.low) return;
  if (checkpoint === null) throw lost(owner, place);
  throw new MillraceError('CHECKPOINT_MOVED', {
    message: `The checkpoint of "${owner}" is at ${before ?? 'the beginning'}, and this load begins at ${window.low ?? 'the beginning'}.`,
    remedy: 'A later run has loaded these rows. Cancel this run; nothing is missing.',
    facts: { load: id },
  });
}
