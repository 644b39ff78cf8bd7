import assert from 'node:assert/strict';
import { batchOfRows } from '../batch/index.ts';
import type { ColumnChange, Position } from '../connector/index.ts';
import { type ErrorCode, isMillraceError } from '../error/index.ts';
import { changeGroup } from './change-groups.ts';
import { changesOfColumns, groupsOfChanges } from './change-sink-changes.ts';
import { at, type ChangeSinkFixture, identity, insert, type Playing, row, split, things, update, World } from './change-sink-world.ts';
import type { Test } from './suite.ts';
import { Choices, seeded, workloadDatabase, workloadTables, workTransaction } from './workload.ts';

export type { ChangeSinkFixture } from './change-sink-world.ts';

export interface ChangeSinkSuiteOptions {
  /** True for a log: it takes what it gets, and asks no table whether there is such a row. */
  readonly isLog?: boolean;
  /** False where a table without a key is refused. */
  readonly keyless?: boolean;
  /** Kinds of column changes that it can do; all by default. */
  readonly columnChanges?: readonly ColumnChange['change'][];
  /** Random sequences of changes to play, and the first of their seeds. */
  readonly seeds?: number;
  readonly firstSeed?: number;
}

/**
 * What every `ChangeTarget` promises that says exactly-once: it is at each moment as the source was at the position that it tells, whatever
 * was copied, applied, broken off and done again; an attempt that was followed by another can do nothing any more.
 */
export function changeSinkConformance(
  test: Test,
  fresh: () => Promise<ChangeSinkFixture>,
  {
    isLog = false,
    keyless = true,
    columnChanges = ['add', 'drop', 'rename', 'retype'],
    seeds = 8,
    firstSeed = 1,
  }: ChangeSinkSuiteOptions = {},
): void {
  const withSink = (name: string, body: (world: World) => Promise<void>): void =>
    test(name, async () => {
      await using fixture = await fresh();
      await body(new World(fixture));
    });

  withSink('follows nothing at first, then what it was told to, with its place', async (world) => {
    {
      await using attempt = await world.open();
      assert.deepEqual(attempt.state, { identity: null, position: null, copied: {}, deadLetters: 0 });
      await attempt.sink.follow(identity(), at(7));
    }
    await using attempt = await world.open();
    assert.deepEqual(attempt.state, { identity: identity(), position: at(7), copied: {}, deadLetters: 0 });
    assert.deepEqual(JSON.parse(JSON.stringify(attempt.state)), attempt.state);
  });

  withSink(
    'a copy is there when it is finished, and stays so when the same stream is followed again; another stream is another',
    async (world) => {
      {
        await using attempt = await world.open();
        await attempt.sink.follow(identity(), at(7));
        await attempt.copy('things', [row(1), row(2)], at(7));
        await attempt.sink.follow(identity(), at(9));
      }
      assert.deepEqual(await world.read('things'), [row(1), row(2)]);
      {
        await using attempt = await world.open();
        assert.deepEqual(attempt.state.copied, { things: at(7) });
        assert.equal(attempt.state.position, at(9));
        await attempt.sink.follow(identity(8), at(8));
      }
      await using attempt = await world.open();
      assert.deepEqual([attempt.state.identity, attempt.state.copied, attempt.state.position], [identity(8), {}, at(8)]);
    },
  );

  withSink('a copy that is given up leaves nothing, and one of an attempt that has died is begun anew', async (world) => {
    {
      await using attempt = await world.open();
      await attempt.sink.follow(identity(), at(7));
      {
        await using copy = await attempt.sink.copy('things', 'fresh', at(7));
        await copy.stage(split('s1'), attempt.channel(things, [row(1), row(2)]));
      }
      await using copy = await attempt.sink.copy('things', 'fresh', at(7));
      await copy.stage(split('s1'), attempt.channel(things, [row(3)]));
    }
    {
      await using attempt = await world.open();
      assert.deepEqual(attempt.state.copied, {});
      await attempt.copy('things', [row(2), row(4)], at(8));
    }
    assert.deepEqual(await world.read('things'), [row(2), row(4)]);
    await using attempt = await world.open();
    assert.deepEqual(attempt.state.copied, { things: at(8) });
  });

  withSink('splits of several tables may be staged side by side, and a table without any is copied too', async (world) => {
    await using attempt = await world.open({ things, ...workloadTables });
    await attempt.sink.follow(identity(), at(7));
    const ids = Array.from({ length: 8 }, (_, id) => id + 1);
    await using one = await attempt.sink.copy('things', 'fresh', at(7));
    await using other = await attempt.sink.copy('pairs', 'fresh', at(7));
    await using none = await attempt.sink.copy('events', 'fresh', at(7));
    await Promise.all([
      ...ids.map((id) => one.stage(split(`s${id}`), attempt.channel(things, [row(id)]))),
      other.stage(split('s1'), attempt.channel(workloadTables.pairs, [{ a: 1, b: 'x', n: null }])),
    ]);
    for (const copy of [one, other, none]) await copy.finish(at(7));
    assert.deepEqual(
      await world.read('things'),
      ids.map((id) => row(id)),
    );
    assert.deepEqual(await world.read('pairs', workloadTables.pairs), [{ a: 1, b: 'x', n: null }]);
    assert.deepEqual(await world.read('events', workloadTables.events), []);
  });

  withSink('a split that breaks off fails, and the copy with it', async (world) => {
    {
      await using attempt = await world.open();
      await attempt.sink.follow(identity(), at(7));
      await using copy = await attempt.sink.copy('things', 'fresh', at(7));
      async function* broken() {
        yield batchOfRows(things, [row(1)]);
        throw new Error('broke off');
      }
      await assert.rejects(copy.stage(split('s1'), attempt.channelOf(things, broken())), /broke off/);
    }
    await using attempt = await world.open();
    assert.deepEqual(attempt.state.copied, {});
    await attempt.copy('things', [row(2)], at(7));
    assert.deepEqual(await world.read('things'), [row(2)]);
  });

  groupsOfChanges(withSink, { isLog, keyless });
  changesOfColumns(withSink, columnChanges);

  withSink('an attempt that was followed by another can do nothing any more', async (world) => {
    await using zombie = await world.play({ things });
    await zombie.commit(insert(1));
    await zombie.apply();
    await zombie.sink.flush();
    const copy = await zombie.sink.copy('things', 'beside', zombie.position as Position);
    await using next = await world.play({ things }, [], zombie);
    await zombie.commit(insert(2));
    await assert.rejects(async () => {
      await zombie.apply();
      await zombie.sink.flush();
    });
    await assert.rejects(zombie.sink.follow(identity(8), at(8)));
    await assert.rejects(async () => {
      await copy.stage(split('s1'), zombie.channel(things, [row(7)]));
      await copy.finish(zombie.database.end);
    });
    await Promise.resolve(copy[Symbol.asyncDispose]()).catch(() => {});
    await next.apply();
    await next.compare();
    assert.deepEqual(await world.read('things'), [row(1), row(2)]);
    await fails('ATTEMPT_FENCED', world.open({ things }, -5));
  });

  withSink('a table that is copied beside is as it was until it takes over, while the stream goes on', async (world) => {
    await using playing = await world.play({ things, pairs: workloadTables.pairs }, ['body']);
    await playing.commit(insert(1, { body: 'one' }), insert(2, { body: 'two' }), insert(3), insert(5));
    await playing.apply();
    await playing.spoil('things');
    const snapshot = playing.database.end;
    const rows = playing.database.rows('things');
    await using copy = await playing.sink.copy('things', 'beside', snapshot);
    await copy.stage(split('s1'), playing.channel(things, rows.slice(0, 2)));
    await playing.commit(insert(4, { body: 'four' }), update(1, { name: 'while' }), {
      do: 'insert',
      table: 'pairs',
      row: { a: 1, b: 'x', n: 1 },
    });
    await playing.apply();
    await copy.stage(split('s2'), playing.channel(things, rows.slice(2)));
    await playing.commit(update(4, { size: 4 }), { do: 'delete', table: 'things', key: { id: 3n } }, update(2, { id: 22n }));
    await playing.apply();
    const since = playing.logged(snapshot, ['things']);
    await copy.apply(changeGroup(since.slice(0, 1)));
    await copy.apply(changeGroup(since.slice(1), { giant: true, partRows: 1 }));
    await playing.sink.flush();
    assert.ok(
      (await world.read('things')).some(({ name }) => name === 'spoilt'),
      'the copy was seen before it took over',
    );
    await playing.sink.flush();
    await copy.finish(playing.database.end);
    await playing.compare();
    await playing.commit(update(22, { id: 2n }), insert(3), update(4, { name: 'after' }));
    await playing.apply();
    await playing.compare();
    await using attempt = await world.open(playing.tables);
    assert.ok((attempt.state.copied['things'] as Position) > snapshot);
  });

  withSink('a copy beside that is given up changes nothing', async (world) => {
    await using playing = await world.play({ things });
    await playing.commit(insert(1), insert(2));
    await playing.apply();
    {
      await using copy = await playing.sink.copy('things', 'beside', playing.database.end);
      await copy.stage(split('s1'), playing.channel(things, [row(9)]));
      await copy.apply(changeGroup([], { position: playing.database.end }));
    }
    await playing.commit(update(1, { name: 'after' }));
    await playing.apply();
    await playing.compare();
  });

  withSink('a table that was left out for a while is not copied any more', async (world) => {
    {
      await using attempt = await world.open({ things, pairs: workloadTables.pairs });
      await attempt.sink.follow(identity(), at(7));
      await attempt.copy('things', [row(1)], at(7));
      await attempt.copy('pairs', [], at(7), workloadTables.pairs);
    }
    {
      await using attempt = await world.open({ things });
      assert.deepEqual(attempt.state.copied, { things: at(7) });
    }
    await using attempt = await world.open({ things, pairs: workloadTables.pairs });
    assert.deepEqual(attempt.state.copied, { things: at(7) });
  });

  for (const seed of Array.from({ length: seeds }, (_, place) => firstSeed + place)) {
    withSink(`is at every moment as the source was, through attempts that die and copies beside (seed ${seed})`, (world) =>
      randomly(world, seed),
    );
  }
}

/** Whatever a stream may bring, in groups cut anyhow; the target is compared after each of them. */
async function randomly(world: World, seed: number): Promise<void> {
  const choices = new Choices(seeded(seed));
  const database = workloadDatabase();
  const work = (most: number): void => {
    for (let left = choices.below(most + 1); left > 0; left--) workTransaction(database, choices);
  };
  work(6);
  let playing = await world.play(workloadTables, [], null, database);
  try {
    for (let round = 0; round < 6; round++) {
      work(5);
      while (playing.isBehind) {
        const durable = await playing.apply({ most: 1 + choices.below(4), partRows: 1 + choices.below(5), giant: choices.below(3) === 0 });
        assert.ok(durable <= (playing.position as Position));
        await playing.compare(durable);
      }
      if (choices.below(3) === 0) {
        const name = choices.one(['orders', 'pairs', 'events'] as const);
        const snapshot = database.end;
        await using copy = await playing.sink.copy(name, 'beside', snapshot);
        const rows = database.rows(name);
        const half = choices.below(rows.length + 1);
        await copy.stage(split('s1'), playing.channel(workloadTables[name], rows.slice(0, half)));
        work(3);
        await copy.stage(split('s2'), playing.channel(workloadTables[name], rows.slice(half)));
        while (playing.isBehind) await playing.apply({ most: 2, partRows: 2 });
        const since = playing.logged(snapshot, [name]);
        if (since.length > 0) await copy.apply(changeGroup(since, { ...playing.full, position: database.end }));
        await playing.sink.flush();
        await copy.finish(database.end);
        playing.copied.set(name, database.end);
        await playing.compare(database.end);
      }
      if (choices.below(2) === 0) {
        const before: Playing = playing;
        playing = await world.play(workloadTables, [], before);
        await before[Symbol.asyncDispose]();
      }
    }
    while (playing.isBehind) await playing.apply();
    assert.equal(await playing.sink.flush(), playing.position);
    await playing.compare();
  } finally {
    await playing[Symbol.asyncDispose]();
  }
}

async function fails(code: ErrorCode, work: Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => isMillraceError(error) && error.code === code);
}
