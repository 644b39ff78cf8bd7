import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isUnchanged } from '../batch/index.ts';
import {
  beforeKinds,
  type ChangeGroup,
  changeKinds,
  type Position,
  type SourceTransaction,
  type TableChanges,
} from '../connector/index.ts';
import { type ChangeSourceFixture, ChangeSourceWorld, copyInto, forwarded } from './change-source-world.ts';
import { plainState, type Statement } from './memory-database.ts';
import { memoryMirror, mirrorState } from './memory-mirror.ts';
import type { Test } from './suite.ts';
import { Choices, seeded, workloadTables } from './workload.ts';

export type { ChangeSourceFixture };

export interface ChangeSourceSuiteOptions {
  /** Rows, of about 10 kB each, of a transaction that comes alone and in several parts; left out where there is none so large. */
  readonly giantRows?: number;
  readonly seeds?: number;
  /**
   * `rows` where a source knows no transactions, and no order but that of the changes of one row: each of them is a transaction of its own, an
   * insert looks like an update, a row whose key changes is deleted and comes anew, and none is truncated. `commits` by default.
   */
  readonly order?: 'commits' | 'rows';
}

/** The tables that the suite works with: `public.orders`, `public.pairs` and `public.events`. */
export const changeSourceTables = workloadTables;
/** A value that is so long that it does not stand in its row, however well it is compressed. */
const largeText = Array.from({ length: 400 }, (_, place) => ((place * 2654435761) >>> 0).toString(36)).join('');

/**
 * What every `CaptureSource` promises: a snapshot and what comes after it fit together, transactions come whole and in the order of their
 * commits, each time in the same places; nothing is forgotten before it was released.
 */
export function changeSourceConformance(
  test: Test,
  fresh: () => Promise<ChangeSourceFixture>,
  { giantRows, seeds = 3, order = 'commits' }: ChangeSourceSuiteOptions = {},
): void {
  const withSource = (name: string, body: (world: ChangeSourceWorld) => Promise<void>): void =>
    test(name, async () => {
      await using fixture = await fresh();
      await body(new ChangeSourceWorld(fixture, order));
    });

  withSource('there is no stream before one is made, and then it is the same for each attempt', async (world) => {
    let identity: unknown;
    {
      await using source = await world.open();
      assert.equal(await source.stream(), null);
      const made = await source.create();
      identity = made.identity;
      await made.snapshot[Symbol.asyncDispose]();
      assert.deepEqual(JSON.parse(JSON.stringify(identity)), identity);
    }
    await world.commit(insert(1));
    await using source = await world.open();
    const status = await source.stream();
    assert.deepEqual(status?.identity, identity);
    assert.ok(status && status.confirmed >= status.identity.origin && status.end > status.confirmed);
  });

  withSource('a stream that is made anew is another one', async (world) => {
    const origins = new Set<string>();
    for (let round = 0; round < 2; round++) {
      await using source = await world.open();
      const { identity, snapshot } = await source.create();
      origins.add(identity.origin);
      await snapshot[Symbol.asyncDispose]();
      await world.commit(insert(round));
    }
    assert.equal(origins.size, 2);
  });

  withSource('the snapshot has what was there before, and the stream what came after, whatever comes meanwhile', async (world) => {
    await world.commit(insert(1), insert(2));
    await using source = await world.open();
    const { identity, snapshot } = await world.create(source);
    await world.commit(insert(3), update(1, { note: 'after' }));
    await world.follow(identity, snapshot);
    await world.commit({ do: 'delete', table: 'orders', key: { id: 2n } });
    await snapshot[Symbol.asyncDispose]();
    await world.catchUp(source);
    world.compare();
  });

  withSource('what was read once is read again, in the same transactions at the same places', async (world) => {
    const { position } = await world.begin();
    await world.work(1, 12);
    const read: SourceTransaction[][] = [];
    for (let round = 0; round < 2; round++) {
      await using source = await world.open();
      const seen: SourceTransaction[] = [];
      for await (const group of world.groups(source, position)) {
        seen.push(...group.transactions);
        for await (const _ of group.parts);
      }
      read.push(seen);
    }
    const known = ({ commit, committedAt, xid }: SourceTransaction) => ({ commit, committedAt, xid });
    assert.deepEqual((read[0] as SourceTransaction[]).map(known), (read[1] as SourceTransaction[]).map(known));
    if (order === 'commits') assert.equal(read[0]?.length, world.done.length);
    else assert.ok(read[0]?.length);
  });

  withSource('positions rise, commits stand between them, and a reader can begin at each of them', async (world) => {
    const { position } = await world.begin();
    for (let round = 0; round < 4; round++) await world.commit(insert(round + 1));
    const positions: Position[] = [];
    {
      await using source = await world.open();
      let last = position;
      for await (const group of world.groups(source, position)) {
        for await (const _ of group.parts);
        for (const { commit, committedAt } of group.transactions) {
          assert.ok(commit >= last, 'a commit before the position of the group before it');
          assert.ok(commit < group.position(), 'a commit behind its group');
          assert.match(committedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
        }
        assert.ok(group.position() > last);
        last = group.position();
        positions.push(last);
      }
    }
    for (const from of positions.slice(0, -1)) {
      await using source = await world.open();
      for await (const group of world.groups(source, from)) {
        for await (const _ of group.parts);
        for (const { commit } of group.transactions) assert.ok(commit >= from, 'a transaction that the reader has');
      }
    }
  });

  withSource('changes are as they were made: kinds, keys before, and what was not sent', async (world) => {
    const { position } = await world.begin();
    const body = largeText;
    await world.commit(insert(1, { body }), { do: 'insert', table: 'events', row: { id: 1, what: 'a', body } });
    await world.commit(update(1, { note: 'x' }), { do: 'update', table: 'events', key: { id: 1 }, set: { what: 'b' } });
    await world.commit(
      update(1, { id: 2n }),
      { do: 'delete', table: 'orders', key: { id: 2n } },
      { do: 'delete', table: 'events', key: { id: 1 } },
    );
    await using source = await world.open();
    const orders: unknown[] = [];
    const events: unknown[] = [];
    for await (const group of world.groups(source, position)) {
      for await (const part of group.parts) {
        assert.equal(part.kind, 'changes');
        (part.table === 'orders' ? orders : events).push(...shown(part));
      }
    }
    const sends = world.sendsUnchanged;
    const kept = (row: object) => (sends ? { ...row, body } : row);
    if (order === 'rows') {
      const [first, second] = [
        { id: 1n, note: 'n1', body, amount: '1.00' },
        { id: 1n, note: 'x', body, amount: '1.00' },
      ];
      const last = { ...second, id: 2n };
      assert.deepEqual(orders, [
        { kind: changeKinds.update, row: first, before: beforeKinds.none },
        { kind: changeKinds.update, row: second, before: beforeKinds.row, old: first },
        { kind: changeKinds.delete, row: second, before: beforeKinds.row, old: second },
        { kind: changeKinds.update, row: last, before: beforeKinds.none },
        { kind: changeKinds.delete, row: last, before: beforeKinds.row, old: last },
      ]);
      return;
    }
    assert.deepEqual(orders, [
      { kind: changeKinds.insert, row: { id: 1n, note: 'n1', body, amount: '1.00' }, before: beforeKinds.none },
      { kind: changeKinds.update, row: kept({ id: 1n, note: 'x', amount: '1.00' }), before: beforeKinds.none },
      { kind: changeKinds.update, row: kept({ id: 2n, note: 'x', amount: '1.00' }), before: beforeKinds.key, old: { id: 1n } },
      { kind: changeKinds.delete, row: { id: 2n }, before: beforeKinds.key, old: { id: 2n } },
    ]);
    assert.deepEqual(events, [
      { kind: changeKinds.insert, row: { id: 1, what: 'a', body }, before: beforeKinds.none },
      { kind: changeKinds.update, row: { id: 1, what: 'b', body }, before: beforeKinds.row, old: { id: 1, what: 'a', body } },
      { kind: changeKinds.delete, row: { id: 1, what: 'b', body }, before: beforeKinds.row, old: { id: 1, what: 'b', body } },
    ]);
  });

  withSource('a quiet stream ends where it was asked to, and moves when it is nudged', async (world) => {
    const { position } = await world.begin();
    {
      await using source = await world.open();
      let reached = position;
      for await (const group of world.groups(source, position)) reached = group.position();
      assert.ok(reached >= position);
    }
    await using source = await world.open();
    const stop = new AbortController();
    const nudged = sleep(200).then(() => source.nudge());
    let reached = position;
    for await (const group of source.read(position, { signal: stop.signal })) {
      for await (const _ of group.parts);
      reached = group.position();
      if (reached > position) stop.abort(new Error('enough'));
    }
    await nudged;
    assert.ok(reached > position);
  });

  withSource('a reader that waits hears of what comes, and ends when it is told to', async (world) => {
    const { position } = await world.begin();
    await using source = await world.open();
    const stop = new AbortController();
    const writes = (async () => {
      for (let id = 1; id <= 5; id++) {
        await sleep(50);
        await world.commit(insert(id));
      }
    })();
    let transactions = 0;
    for await (const group of source.read(position, { signal: stop.signal })) {
      for await (const _ of group.parts);
      transactions += group.transactions.length;
      if (transactions === 5) stop.abort(new Error('enough'));
    }
    await writes;
    assert.equal(transactions, 5);
  });

  withSource('what was released is forgotten, and nothing else', async (world) => {
    const { position } = await world.begin();
    await world.commit(insert(1));
    await world.commit(insert(2));
    let middle: Position;
    {
      await using source = await world.open();
      const stop = new AbortController();
      const release = (group: ChangeGroup): boolean => {
        if (group.transactions.length > 0) source.release(group.position());
        return group.transactions.length > 0;
      };
      middle = await world.apply(source, position, stop, release);
    }
    await eventually(async () => {
      await using source = await world.open();
      return ((await source.stream())?.confirmed ?? position) >= middle;
    });
    await using source = await world.open();
    assert.equal((await source.stream())?.confirmed, middle);
    await world.catchUp(source);
    world.compare();
  });

  withSource('tables are looked at again while the stream goes on, and what comes after that look is told apart', async (world) => {
    const { position } = await world.begin();
    await world.work(3, 8);
    await using source = await world.open();
    const stop = new AbortController();
    const main = (async () => {
      for await (const group of source.read(position, { signal: stop.signal })) for await (const _ of group.parts);
    })().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    main.catch(() => {});
    await using snapshot = await source.snapshot(['orders', 'pairs']);
    await world.work(4, 8);
    const only = memoryMirror();
    const sink = await world.sinkOf(only, ['orders', 'pairs']);
    await sink.follow({ source: 's', slot: 's', origin: snapshot.position }, snapshot.position);
    for (const name of ['orders', 'pairs']) await copyInto(sink, snapshot, name);
    const until = (await source.stream())?.end as Position;
    await source.nudge();
    const ended = new AbortController();
    for await (const group of snapshot.read({ signal: ended.signal, until })) {
      for await (const part of forwarded(group, sink)) {
        const names = part.kind === 'truncate' ? part.tables : [part.table];
        for (const name of names) assert.ok(['orders', 'pairs'].includes(name), `${name} was not asked for`);
      }
    }
    stop.abort(new Error('enough'));
    await main;
    const { events: _, ...expected } = plainState(world.database.stateAt(world.database.end));
    assert.deepEqual(plainState(mirrorState(only)), expected);
  });

  if (giantRows !== undefined) {
    withSource('a transaction that is too large for memory comes alone, its parts as they are read', async (world) => {
      const { position } = await world.begin();
      await world.commit({ do: 'insert', table: 'pairs', row: { a: 1, b: 'before', n: 1 } });
      await world.commit(...Array.from({ length: giantRows }, (_, id) => insert(id + 1, { body: largeText.repeat(4) })));
      await world.commit({ do: 'insert', table: 'pairs', row: { a: 1, b: 'after', n: 1 } });
      await using source = await world.open();
      let giants = 0;
      for await (const group of world.groups(source, position)) {
        const isGiant = group.size === null;
        let rows = 0;
        for await (const part of group.parts) {
          if (isGiant && rows === 0) assert.throws(() => group.position());
          rows += part.kind === 'changes' ? part.kinds.length : 0;
        }
        group.position();
        if (!isGiant) continue;
        giants++;
        assert.equal(group.transactions.length, 1);
        assert.equal(rows, giantRows);
      }
      assert.equal(giants, 1);
    });

    withSource('a reader that leaves in the middle of it leaves nothing of it', async (world) => {
      const { position } = await world.begin();
      await world.commit(...Array.from({ length: giantRows }, (_, id) => insert(id + 1, { body: largeText.repeat(4) })));
      {
        await using source = await world.open();
        const stop = new AbortController();
        let rows = 0;
        try {
          for await (const group of source.read(position, { signal: stop.signal })) {
            for await (const part of group.parts) {
              rows += part.kind === 'changes' ? part.kinds.length : 0;
              stop.abort(new Error('enough'));
            }
            if (group.transactions.length > 0) group.position();
          }
          assert.equal(rows, giantRows, 'half of a transaction looks like all of it');
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error;
        }
      }
      await using source = await world.open();
      await world.catchUp(source);
      world.compare();
    });
  }

  for (const seed of Array.from({ length: seeds }, (_, place) => place + 1)) {
    withSource(`gives what was done, transaction by transaction, through attempts that end anywhere (seed ${seed})`, async (world) => {
      const { position } = await world.begin();
      const choices = new Choices(seeded(seed));
      let from = position;
      for (let round = 0; round < 4; round++) {
        await world.work(seed * 10 + round, 3 + choices.below(10));
        await using source = await world.open();
        const stop = new AbortController();
        let groups = choices.below(4);
        from = await world.apply(source, from, stop, () => groups-- <= 0);
      }
      await using source = await world.open();
      await world.catchUp(source);
      world.compare();
    });
  }
}

const insert = (id: number, rest: Readonly<Record<string, unknown>> = {}): Statement => ({
  do: 'insert',
  table: 'orders',
  row: { id: BigInt(id), note: `n${id}`, body: null, amount: '1.00', ...rest },
});
const update = (id: number, set: Readonly<Record<string, unknown>>): Statement => ({
  do: 'update',
  table: 'orders',
  key: { id: BigInt(id) },
  set,
});

/** What is known of each change. */
function shown({ kinds, rows, old, before }: TableChanges): object[] {
  return Array.from(kinds, (kind, row) => {
    const known = (batch: TableChanges['old'], keyOnly: boolean) =>
      Object.fromEntries(
        (batch?.schema.columns ?? []).flatMap(({ name }, place) => {
          const vector = (batch as TableChanges['rows']).vectors[place]!;
          if (isUnchanged(vector, row) || (keyOnly && !batch?.schema.key?.includes(name))) return [];
          return [[name, vector.get(row)] as const];
        }),
      );
    const keyOnly = before[row] === beforeKinds.key;
    return {
      kind,
      row: known(rows, kind === changeKinds.delete && keyOnly),
      before: before[row],
      ...(before[row] !== beforeKinds.none && { old: known(old, keyOnly) }),
    };
  });
}

async function eventually(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail('it took too long');
    await sleep(50);
  }
}
