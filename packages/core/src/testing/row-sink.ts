import assert from 'node:assert/strict';
import { batchOfRows, type ColumnBatch } from '../batch/index.ts';
import type {
  BatchesChannel,
  Checkpoint,
  Context,
  Fence,
  LoadMode,
  LoadSession,
  LoadSpec,
  Receipt,
  Sink,
  Split,
  Target,
  Window,
} from '../connector/index.ts';
import { type ErrorCode, isMillraceError } from '../error/index.ts';
import { channelOf } from '../run/route.ts';
import { int4, table, text } from '../schema/index.ts';
import { testContext } from './context.ts';
import type { Test } from './suite.ts';

/** The table that the suite loads into. */
export const sinkTable = table('conformance', { id: int4(), note: text().orNull() }, { key: ['id'] });
export type SinkRow = { readonly id: number; readonly note: string | null };

export interface SinkFixture extends AsyncDisposable {
  /** The same empty place, however often it is asked for. */
  target(mode: LoadMode): Target;
  /** What everybody can see there, in any order; an empty list where the place does not exist yet. */
  read(): Promise<readonly SinkRow[]>;
  context?(options: Partial<Context>): Context;
}

export interface SinkSuiteOptions {
  /** Those that the target knows, beside `append`. */
  readonly modes?: readonly LoadMode[];
  /** True where a load that was committed has no fence any more: a late attempt at it finds it done, and changes nothing. */
  readonly forgetsFences?: boolean;
  /**
   * True where rows are there as soon as they are staged, and stay: a target that says at-least-once. Then attempts that come to nothing leave
   * rows, which the next one puts again by their keys, and a full refresh takes none away.
   */
  readonly showsStaged?: boolean;
}

/**
 * What every `Target` that takes rows promises, where it says exactly-once: nothing can be seen before the commit and everything
 * after it, a load is applied once, an older attempt is refused.
 */
export function rowSinkConformance(
  test: Test,
  fresh: () => Promise<SinkFixture>,
  { modes = ['append', 'merge', 'replace'], forgetsFences = false, showsStaged = false }: SinkSuiteOptions = {},
): void {
  /** What can be seen of rows that were staged for nothing. */
  const assertHidden = async (read: World['read'], expected: readonly SinkRow[] = []): Promise<void> => {
    if (!showsStaged) assert.deepEqual(await read(), expected);
  };
  const withSink = (name: string, body: (world: World) => Promise<void>, mode: LoadMode = 'append'): void => {
    if (mode !== 'append' && !modes.includes(mode)) return;
    test(name, async () => {
      await using fixture = await fresh();
      await body(worldOf(fixture, fixture.target(mode)));
    });
  };

  withSink('nothing can be seen before the commit, all of it after', async ({ begin, stage, commit, read }) => {
    await using load = await begin('l1');
    assert.equal(load.session.applied, null);
    const parts = [await stage(load, 's1', [1, 2]), await stage(load, 's2', [3])];
    await assertHidden(read);
    const receipt = await commit(load, parts);
    assert.deepEqual(await read(), rows(1, 2, 3));
    assert.equal(receipt.rows, 3);
    assert.equal(receipt.loadId, 'l1');
    assert.deepEqual(JSON.parse(JSON.stringify(receipt)), receipt);
  });

  withSink('a load that was committed is not applied again', async ({ begin, stage, commit, read }) => {
    let receipt: Receipt;
    {
      await using load = await begin('l1', { epoch: 1 });
      receipt = await commit(load, [await stage(load, 's1', [1, 2])]);
    }
    await using again = await begin('l1', { epoch: 2 });
    assert.deepEqual(again.session.applied, receipt);
    assert.deepEqual(await read(), rows(1, 2));
  });

  withSink('a split that is staged twice counts once', async ({ begin, stage, commit, read }) => {
    await using load = await begin('l1');
    await stage(load, 's1', [1, 2]);
    await commit(load, [await stage(load, 's1', [1, 2])]);
    assert.deepEqual(await read(), rows(1, 2));
  });

  withSink('splits may be staged side by side', async ({ begin, stage, commit, read }) => {
    await using load = await begin('l1', { parallel: true });
    const ids = Array.from({ length: 12 }, (_, i) => i + 1);
    await commit(load, await Promise.all(ids.map((id) => stage(load, `s${id}`, [id]))));
    assert.deepEqual(await read(), rows(...ids));
  });

  withSink('a load of no rows is a load', async ({ begin, commit, read, checkpoint }) => {
    await using load = await begin('l1');
    assert.equal((await commit(load, [])).rows, 0);
    assert.deepEqual(await read(), []);
    assert.equal((await checkpoint())?.loadId, 'l1');
  });

  withSink('a load that was given up leaves nothing, and the next attempt can do it', async ({ begin, stage, commit, read }) => {
    {
      await using load = await begin('l1', { epoch: 1 });
      await stage(load, 's1', [1, 2]);
      await load.session.abort(new Error('given up'));
    }
    await assertHidden(read);
    await using next = await begin('l1', { epoch: 2 });
    await commit(next, [await stage(next, 's1', [1, 2])]);
    assert.deepEqual(await read(), rows(1, 2));
  });

  withSink('an attempt that ends without a word leaves nothing, and the next attempt can do it', async ({ begin, stage, commit, read }) => {
    {
      await using load = await begin('l1', { epoch: 1 });
      await stage(load, 's1', [1, 2, 3]);
    }
    await assertHidden(read);
    await using next = await begin('l1', { epoch: 2 });
    await commit(next, [await stage(next, 's1', [1, 2])]);
    assert.deepEqual(await read(), rows(1, 2, ...(showsStaged ? [3] : [])));
  });

  withSink('parts of an attempt that has died are used only where they are whole', async ({ begin, stage, commit, read }) => {
    const parts = [];
    {
      await using load = await begin('l1', { epoch: 1 });
      parts.push(await stage(load, 's1', [1]), await stage(load, 's2', [2]));
    }
    await using next = await begin('l1', { epoch: 2 });
    const kept = (await next.session.recover?.(parts)) ?? [];
    for (const part of kept) assert.ok(parts.some(({ split }) => split === part.split));
    const missing = ['s1', 's2'].filter((split) => !kept.some((part) => part.split === split));
    await commit(next, [...kept, ...(await Promise.all(missing.map((split) => stage(next, split, [Number(split.slice(1))]))))]);
    assert.deepEqual(await read(), rows(1, 2));
  });

  withSink(
    'what another session of the same attempt has staged is committed, what it stages too late is not',
    async ({ begin, stage, commit, read }) => {
      await using load = await begin('l1', { epoch: 1, parallel: true });
      if (!load.session.shared) return;
      await using helper = await begin('l1', { epoch: 1, parallel: true });
      await using sleeper = await begin('l1', { epoch: 1, parallel: true });
      const parts = await Promise.all([stage(load, 's1', [1]), stage(helper, 's2', [2]), stage(helper, 's3.2', [3])]);
      await stage(sleeper, 's3', [30]);
      assert.deepEqual(await read(), []);
      await commit(load, [parts[0], parts[1], { ...parts[2], split: 's3' }]);
      assert.deepEqual(await read(), rows(1, 2, 3));
      await stage(sleeper, 's4', [40]).catch(() => {});
      await using next = await begin('l2', { epoch: 2, parallel: true });
      await commit(next, [await stage(next, 's1', [4])]);
      assert.deepEqual(await read(), rows(1, 2, 3, 4));
    },
  );

  withSink('a source that breaks off fails its split', async ({ begin, read }) => {
    await using load = await begin('l1');
    async function* broken(): AsyncGenerator<ColumnBatch, void, undefined> {
      yield batchOfRows(sinkTable, rows(1));
      throw new Error('broke off');
    }
    await assert.rejects(load.session.stage(split('s1'), load.channel(broken())), /broke off/);
    await load.session.abort(new Error('broke off'));
    await assertHidden(read);
  });

  withSink('an attempt whose successor is there is refused, whatever it has staged', async ({ begin, stage, commit, read }) => {
    await using zombie = await begin('l1', { epoch: 1 });
    const staged = await stage(zombie, 's1', [7]);
    let receipt: Receipt;
    {
      await using next = await begin('l1', { epoch: 2 });
      receipt = await commit(next, [await stage(next, 's1', [1])]);
    }
    // Refused, or cut off by its successor: it must not come through.
    if (forgetsFences) return assert.deepEqual([await commit(zombie, [staged]), await read()], [receipt, rows(1)]);
    await assert.rejects(commit(zombie, [staged]));
    assert.deepEqual(await read(), rows(1, ...(showsStaged ? [7] : [])));
    await fails('ATTEMPT_FENCED', begin('l2', { epoch: 1 }));
  });

  withSink('the checkpoint is stored with the data, for each owner', async ({ begin, stage, commit, checkpoint }) => {
    assert.equal(await checkpoint(), null);
    await using load = await begin('l1', { window: window(null, '5') });
    await commit(load, [await stage(load, 's1', [1])]);
    assert.deepEqual(await checkpoint(), { window: window(null, '5'), loadId: 'l1' });
    assert.equal(await checkpoint('other'), null);
  });

  withSink('a window that does not begin at the checkpoint is refused', async ({ begin, stage, commit, read }) => {
    const load = async (id: string, of: Window): Promise<void> => {
      await using open = await begin(id, { window: of });
      await commit(open, [await stage(open, id, [Number(id.slice(1))])]);
    };
    await load('l1', window(null, '5'));
    await load('l2', window('5', '9'));
    await fails('CHECKPOINT_MOVED', load('l3', window('5', '7')));
    assert.deepEqual(await read(), rows(1, 2));
  });

  withSink('append adds', async (world) => {
    await loadTwice(world);
    assert.deepEqual(await world.read(), [...rows(1, 2), { id: 3, note: 'new' }]);
  });

  if (!showsStaged)
    withSink('a full refresh of an append replaces what is there', async ({ begin, stage, commit, read }) => {
      {
        await using load = await begin('l1', { window: window(null, '5') });
        await commit(load, [await stage(load, 's1', [1, 2])]);
      }
      await using again = await begin('l2', { window: window(null, '9'), fullRefresh: true });
      await commit(again, [await stage(again, 's1', [2, 3])]);
      assert.deepEqual(await read(), rows(2, 3));
    });

  withSink(
    'merge puts rows in the place of those with their key',
    async (world) => {
      await loadTwice(world, [
        { id: 2, note: 'new' },
        { id: 3, note: null },
      ]);
      assert.deepEqual(await world.read(), [
        { id: 1, note: 'n1' },
        { id: 2, note: 'new' },
        { id: 3, note: null },
      ]);
    },
    'merge',
  );

  withSink(
    'replace leaves the rows of the last load alone',
    async (world) => {
      await loadTwice(world, [{ id: 9, note: null }]);
      assert.deepEqual(await world.read(), [{ id: 9, note: null }]);
    },
    'replace',
  );
}

const rows = (...ids: number[]): SinkRow[] => ids.map((id) => ({ id, note: `n${id}` }));
const split = (id: string): Split => ({ id, estimate: { rows: null, bytes: null }, where: {} });
const window = (low: string | null, high: string): Window => ({ column: 'id', low, high });

async function loadTwice({ begin, put, commit }: World, second: readonly SinkRow[] = [{ id: 3, note: 'new' }]): Promise<void> {
  for (const [id, loaded] of [['l1', rows(1, 2)] as const, ['l2', second] as const]) {
    await using load = await begin(id);
    await commit(load, [await put(load, 's1', loaded)]);
  }
}

async function fails(code: ErrorCode, work: Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => isMillraceError(error) && error.code === code);
}

interface OpenLoad extends AsyncDisposable {
  readonly session: LoadSession;
  readonly spec: LoadSpec;
  channel(batches: AsyncIterable<ColumnBatch>): ReturnType<typeof channelOf>;
}

type Part = Awaited<ReturnType<LoadSession['stage']>>;

interface World {
  begin(id: string, options?: { epoch?: number; window?: Window; parallel?: boolean; fullRefresh?: boolean }): Promise<OpenLoad>;
  stage(load: OpenLoad, split: string, ids: readonly number[]): Promise<Part>;
  put(load: OpenLoad, split: string, rows: readonly SinkRow[]): Promise<Part>;
  commit(load: OpenLoad, parts: readonly Part[]): Promise<Receipt>;
  read(): Promise<SinkRow[]>;
  checkpoint(step?: string): Promise<Checkpoint | null>;
}

function worldOf(fixture: SinkFixture, target: Target): World {
  const open = (): Promise<Sink> => target.open((fixture.context ?? testContext)({}));
  let runs = 0;
  const world: World = {
    async begin(id, { epoch = 1, window: of = null, parallel = false, fullRefresh } = {}) {
      const sink = await open();
      const spec: LoadSpec = {
        id,
        owner: { pipeline: 'conformance', step: 'load' },
        run: `run-${id}`,
        runAt: new Date(1_774_742_400_000 + 1000 * runs++).toISOString(),
        schema: sinkTable,
        window: of,
        files: [],
        plan: null,
        parallel,
        ...(fullRefresh && { fullRefresh }),
      };
      const fence: Fence = { key: 'conformance/load', epoch };
      const session = await sink.begin(spec, fence).catch(async (error: unknown) => {
        await sink[Symbol.asyncDispose]();
        throw error;
      });
      return {
        session,
        spec,
        channel: (batches) => channelIn(target, { format: 'batches', schema: sinkTable, batches }),
        async [Symbol.asyncDispose]() {
          await session[Symbol.asyncDispose]();
          await sink[Symbol.asyncDispose]();
        },
      };
    },
    stage: (load, name, ids) => world.put(load, name, rows(...ids)),
    put: (load, name, loaded) =>
      load.session.stage(split(name), load.channel(once(batchOfRows(sinkTable, loaded as readonly Record<string, unknown>[])))),
    commit: ({ session, spec }, parts) => session.commit(parts, { window: spec.window, loadId: spec.id }),
    read: async () => [...(await fixture.read())].map(({ id, note }) => ({ id, note })).sort((a, b) => a.id - b.id),
    async checkpoint(step = 'load') {
      await using sink = await open();
      return await sink.checkpoint({ pipeline: 'conformance', step });
    },
  };
  return world;
}

const channelIn = (target: Target, batches: BatchesChannel): ReturnType<typeof channelOf> =>
  channelOf(batches, target.accepts.includes('batches') ? 'batches' : 'csv');

async function* once(batch: ColumnBatch): AsyncGenerator<ColumnBatch, void, undefined> {
  yield batch;
}
