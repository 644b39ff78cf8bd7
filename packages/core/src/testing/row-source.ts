import assert from 'node:assert/strict';
import { rowsOf } from '../batch/index.ts';
import type { Channel, Context, ReadPlan, ReadRequest, RowSource, Selection, WireFormat } from '../connector/index.ts';
import { plainJson } from '../plan/index.ts';
import { batchesOf } from '../run/route.ts';
import { testContext } from './context.ts';
import type { Test } from './suite.ts';

type Row = Readonly<Record<string, unknown>>;

export interface SourceFixture extends AsyncDisposable {
  /** Over rows that stand still while a test runs, but for `more`. */
  readonly selection: Selection;
  /** All of them, as `rowsOf` gives them; at least ten. */
  readonly rows: readonly Row[];
  /** A column that grows with time, and rows that come later with greater values in it. Left out where the source has no cursor. */
  readonly since?: { readonly column: string; readonly more: () => Promise<readonly Row[]> };
  /** A size that makes several splits of the rows. */
  readonly splitBytes: number;
  context?(options: Partial<Context>): Context;
}

/** What every `RowSource` promises: each row once, the same in every format, a window that stays, and never a quiet end in the middle. */
export function rowSourceConformance(test: Test, fresh: () => Promise<SourceFixture>): void {
  const withSource = (name: string, body: (world: World) => Promise<void>): void =>
    test(name, async () => {
      await using fixture = await fresh();
      await body(worldOf(fixture));
    });

  withSource('describes the columns that were declared', async ({ open, selection }) => {
    await using source = await open();
    const names = (columns: readonly { readonly name: string }[]): string[] => columns.map(({ name }) => name);
    assert.deepEqual(names((await source.describe()).columns), names(selection.schema.columns));
  });

  withSource('every format that it offers has every row once', async ({ open, request, rows, readAll }) => {
    await using source = await open();
    const plan = await source.plan(request());
    const offers = source.offers(plan);
    assert.ok(offers.length > 0);
    for (const format of offers)
      assert.deepEqual(await readAll(source, plan, format), format === 'pgcopy-binary' ? rows.length : sorted(rows), format);
  });

  withSource(
    'splits have names of their own that are safe in a file name, and can be open at the same time',
    async ({ open, request, rows, read }) => {
      await using source = await open();
      const plan = await source.plan(request());
      assert.equal(new Set(plan.splits.map(({ id }) => id)).size, plan.splits.length);
      for (const { id } of plan.splits) assert.match(id, /^[\w.=-]{1,100}$/);
      const parts = await Promise.all(plan.splits.map((split) => read(source, split, decodable(source.offers(plan)))));
      assert.deepEqual(sorted(parts.flat()), sorted(rows));
    },
  );

  withSource('its plan is plain JSON', async ({ open, request }) => {
    await using source = await open();
    const plan = plainJson(await source.plan(request()));
    assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan);
  });

  withSource('a plan that went through the store and another process can be read', async ({ open, request, rows, readAll }) => {
    let earlier: ReadPlan;
    {
      await using source = await open();
      earlier = stored(await source.plan(request()));
    }
    await using source = await open();
    const plan = await source.plan(request({ earlier }));
    if (plan.continuesEarlier)
      assert.deepEqual(
        plan.splits.map(({ id }) => id),
        earlier.splits.map(({ id }) => id),
      );
    assert.deepEqual(await readAll(source, plan, decodable(source.offers(plan))), sorted(rows));
  });

  withSource(
    'whoever joins a shared plan reads the same rows, also those that have gone since',
    async ({ open, request, rows, since, readAll }) => {
      await using source = await open();
      const reading = since ? { since: { column: since.column, low: null, lagMs: 0 } } : {};
      const plan = stored(await source.plan(request(reading)));
      if (!plan.shared) return;
      await since?.more();
      await using helper = await open();
      assert.ok(helper.join, 'a source that shares its plans can join them');
      await helper.describe();
      await helper.join(plan);
      const format = decodable(helper.offers(plan));
      assert.deepEqual(await readAll(helper, plan, format), sorted(rows));
      assert.deepEqual(await readAll(source, plan, format), sorted(rows));
    },
  );

  withSource('a window holds what is there, and the next one what has come since', async ({ open, request, rows, since, readAll }) => {
    if (!since) return;
    let high: string;
    {
      await using source = await open();
      const plan = await source.plan(request({ since: { column: since.column, low: null, lagMs: 0 } }));
      assert.equal(plan.window?.column, since.column);
      high = plan.window?.high ?? '';
      assert.deepEqual(await readAll(source, plan, decodable(source.offers(plan))), sorted(rows));
    }
    const more = await since.more();
    await using source = await open();
    const plan = await source.plan(request({ since: { column: since.column, low: high, lagMs: 0 } }));
    assert.equal(plan.window?.low, high);
    assert.deepEqual(await readAll(source, plan, decodable(source.offers(plan))), sorted(more));
  });

  withSource('the window of an earlier attempt stays as it was', async ({ open, request, rows, since, readAll }) => {
    if (!since) return;
    const reading = { column: since.column, low: null, lagMs: 0 };
    let earlier: ReadPlan;
    {
      await using source = await open();
      earlier = stored(await source.plan(request({ since: reading })));
    }
    await since.more();
    await using source = await open();
    const plan = await source.plan(request({ since: reading, earlier }));
    assert.deepEqual(plan.window, earlier.window);
    assert.deepEqual(await readAll(source, plan, decodable(source.offers(plan))), sorted(rows));
  });

  withSource('a read that is broken off says so', async ({ open, request, read }) => {
    const stop = new AbortController();
    await using source = await open({ signal: stop.signal });
    const plan = await source.plan(request());
    stop.abort(new Error('stopped'));
    await assert.rejects(async () => {
      for (const split of plan.splits) await read(source, split, decodable(source.offers(plan)));
    });
  });
}

const sorted = (rows: readonly Row[]): Row[] => [...rows].sort((a, b) => (printed(a) < printed(b) ? -1 : 1));
const printed = (row: Row): string => JSON.stringify(plainJson(row));
const stored = (plan: ReadPlan): ReadPlan => JSON.parse(JSON.stringify(plainJson(plan))) as ReadPlan;
/** A format that the core can decode by itself. */
const decodable = (offers: readonly WireFormat[]): WireFormat =>
  offers.find((format) => format === 'batches') ?? offers.find((format) => format === 'csv') ?? 'batches';

interface World extends Pick<SourceFixture, 'selection' | 'rows' | 'since'> {
  open(options?: Partial<Context>): Promise<RowSource>;
  request(options?: Partial<ReadRequest>): ReadRequest;
  read(source: RowSource, split: ReadPlan['splits'][number], format: WireFormat): Promise<Row[]>;
  /** All rows, sorted; of a format that the core cannot decode their number. */
  readAll(source: RowSource, plan: ReadPlan, format: WireFormat): Promise<Row[] | number>;
}

function worldOf({ selection, rows, since, splitBytes, context = testContext }: SourceFixture): World {
  const world: World = {
    selection,
    rows,
    ...(since && { since }),
    open: (options = {}) => selection.open(context(options)),
    request: (options = {}) => ({ absorbed: [], since: null, splitBytes, earlier: null, ...options }),
    async read(source, split, format) {
      const found: Row[] = [];
      for await (const batch of batchesOf(await source.open(split, format))) found.push(...rowsOf(batch));
      return found;
    },
    async readAll(source, plan, format) {
      if (format === 'pgcopy-binary') {
        let count = 0;
        for (const split of plan.splits) count += await counted(await source.open(split, format));
        return count;
      }
      const found: Row[] = [];
      for (const split of plan.splits) found.push(...(await world.read(source, split, format)));
      return sorted(found);
    },
  };
  return world;
}

async function counted(channel: Channel): Promise<number> {
  if (channel.format === 'batches') throw new TypeError('bytes were asked for');
  channel.stream.resume();
  return (await channel.done).rows;
}
