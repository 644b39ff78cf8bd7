import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { watchFailpoints } from '../../connector/failpoint.ts';
import { earliest } from '../../connector/index.ts';
import { MillraceError } from '../../error/index.ts';
import { int4, table } from '../../schema/index.ts';
import type { MemoryCaptureOptions } from '../../testing/memory-capture.ts';
import { MemoryDatabase, plainState } from '../../testing/memory-database.ts';
import { type MemoryApplyOptions, type MemoryMirror, memoryMirror, mirrorState } from '../../testing/memory-mirror.ts';
import { type StreamWorld, type StreamWorldOptions, streamWorld } from '../../testing/stream-world.ts';
import { Choices, seeded, workloadDatabase, workloadTables, workTransaction } from '../../testing/workload.ts';
import { engineFailpoints } from '../failpoints.ts';

/** What others see at a target is what the source once had: at the sink's position, and each table at its copy's where that is later. */
function expectAsAt(mirror: MemoryMirror, database: MemoryDatabase): void {
  const { position, copied } = mirror.durable;
  if (position === null) return;
  const found = plainState(mirrorState(mirror));
  for (const name of Object.keys(workloadTables)) {
    const at = copied[name];
    if (at === undefined) continue;
    expect({ at: position, [name]: found[name] }).toEqual({
      at: position,
      [name]: plainState(database.stateAt(earliest([at, position]) === at ? position : at))[name],
    });
  }
}

const expectEqual = (mirror: MemoryMirror, database: MemoryDatabase): void =>
  expect(plainState(mirrorState(mirror))).toEqual(plainState(database.stateAt(database.end)));

function busy(database: MemoryDatabase, seed: number, transactions: number): void {
  const choices = new Choices(seeded(seed));
  for (let left = transactions; left > 0; left--) workTransaction(database, choices);
}

interface Given extends Partial<Omit<StreamWorldOptions, 'database' | 'tables' | 'sinks'>> {
  readonly database?: MemoryDatabase;
  readonly mirrors?: Readonly<Record<string, MemoryMirror>>;
  readonly sink?: MemoryApplyOptions;
}

function worldOf({ database = workloadDatabase(), mirrors = { mirrored: memoryMirror() }, sink, ...rest }: Given = {}) {
  const world = streamWorld({
    database,
    tables: workloadTables,
    sinks: Object.fromEntries(Object.entries(mirrors).map(([name, mirror]) => [name, { mirror, ...sink }])),
    ...rest,
  });
  for (const mirror of Object.values(mirrors)) mirror.seen ??= () => expectAsAt(mirror, database);
  return { world, database, mirrors, mirror: Object.values(mirrors)[0] as MemoryMirror };
}

/** Runs until somebody stops it; answers what it ended with. */
function running(world: StreamWorld, ports: Parameters<StreamWorld['attempt']>[1] = {}) {
  const stop = new AbortController();
  const reason = new MillraceError('SHUTDOWN', { message: 'stopped', remedy: '' });
  const ended = world.attempt({}, { signal: stop.signal, ...ports }).then(
    () => 'ended',
    (error: unknown) => error,
  );
  return {
    ended,
    async stop() {
      stop.abort(reason);
      expect(await ended).toBe(reason);
    },
  };
}

async function until(condition: () => boolean, milliseconds = 5_000): Promise<void> {
  const deadline = performance.now() + milliseconds;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it took too long');
    await sleep(2);
  }
}

describe('a stream', () => {
  test('copies what is there, and then follows what comes', async () => {
    const { world, database, mirror } = worldOf();
    busy(database, 1, 20);
    await world.catchUp();
    expectEqual(mirror, database);
    busy(database, 2, 30);
    await world.catchUp();
    expectEqual(mirror, database);
    expect(database.slots.get('p_changes')?.confirmed).toBe(database.end);
  });

  test('what it says of itself is true', async () => {
    const { world, database } = worldOf({ source: { cut: () => 3 } });
    busy(database, 1, 20);
    await world.catchUp();
    busy(database, 2, 30);
    const output = await world.catchUp();
    const changes = database.log.slice(20).reduce((count, { changes }) => count + changes.length, 0);
    const truncates = database.log
      .slice(20)
      .reduce((count, one) => count + one.changes.filter(({ kind }) => kind === 'truncate').length, 0);
    expect(output).toMatchObject({
      kind: 'changes',
      stream: {
        source: 'memory',
        slot: 'p_changes',
        position: database.end,
        changes: changes - truncates,
        tables: { orders: { at: 'ready' }, pairs: { at: 'ready' }, events: { at: 'ready' } },
        sinks: [{ name: 'mirrored', object: 'memory', position: database.end, deadLetters: 0 }],
      },
    });
  });

  test('goes on for as long as nobody stops it, also when nothing comes', async () => {
    const { world, database, mirror } = worldOf();
    const stream = running(world);
    for (const seed of [1, 2, 3]) {
      busy(database, seed, 5);
      await until(() => mirror.durable.position === database.end);
      expectEqual(mirror, database);
    }
    await stream.stop();
  });

  test('that has nothing to catch up with ends at once', async () => {
    const { world, database, mirror } = worldOf();
    busy(database, 1, 3);
    await world.catchUp();
    const { position } = mirror.durable;
    await world.catchUp();
    expect(mirror.durable.position).toBe(position);
  });

  test('whose source ends by itself is no success', async () => {
    const { world } = worldOf({
      source: {
        at: (point) => {
          if (point === 'group') throw new MillraceError('CONNECTION_FAILED', { message: 'cut', remedy: '' });
        },
      },
    });
    await expect(world.attempt()).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  test('moves on where nothing of ours was in the log, so that the source can forget it', async () => {
    const { world, database, mirror } = worldOf();
    await world.catchUp();
    const stream = running(world);
    database.nudge();
    await until(() => database.slots.get('p_changes')?.confirmed === database.end);
    expect(mirror.durable.position).toBe(database.end);
    await stream.stop();
  });

  test('is fenced off by the next attempt', async () => {
    const { world, database, mirror } = worldOf();
    await world.catchUp();
    const zombie = running(world);
    await until(() => world.progress.at(-1)?.phase === 'streaming');
    const next = running(world);
    await until(() => world.progress.at(-1)?.phase === 'streaming');
    busy(database, 1, 4);
    expect(await zombie.ended).toMatchObject({ code: 'ATTEMPT_FENCED' });
    await until(() => mirror.durable.position === database.end);
    expectEqual(mirror, database);
    await next.stop();
  });

  test('a source that is not set up for it is told before anything is read, with all that is wrong', async () => {
    const { world, database } = worldOf();
    const capture = world.pipeline.steps['changes']?.work as { source: { examine: unknown } };
    capture.source.examine = async () => [
      { subject: 'wal_level', level: 'problem', message: 'is replica', remedy: 'Set it.' },
      { subject: 'orders', level: 'warning', message: 'is large' },
      { subject: 'pairs', level: 'problem', message: 'has no key' },
    ];
    await expect(world.catchUp()).rejects.toMatchObject({
      code: 'CAPTURE_IMPOSSIBLE',
      message: expect.stringMatching(/wal_level.*\n.*pairs/),
    });
    expect(world.log).toContain('orders: is large');
    expect(database.slots.size).toBe(0);
  });
});

describe('after a crash', () => {
  const streamPoints = engineFailpoints.filter((point) => point.startsWith('engine.stream.') || point === 'engine.load.begun');

  test.for(streamPoints)('at %s the next attempt goes on, and all is as if nothing had happened', async (point) => {
    for (const nth of [1, 2, 3]) {
      const { world, database, mirrors } = worldOf({
        mirrors: { first: memoryMirror(), second: memoryMirror() },
        source: { cut: () => 2, splitRows: 2 },
      });
      busy(database, nth, 12);
      let passed = 0;
      let crashed = 0;
      {
        using _ = watchFailpoints((name) => {
          if (name === point && ++passed === nth) throw new Error('crash');
        });
        for (let attempt = 0; attempt < 4; attempt++) {
          await world.catchUp().catch((error: unknown) => {
            expect(String(error)).toContain('crash');
            crashed++;
          });
          busy(database, 10 * nth + attempt, 5);
        }
      }
      await world.catchUp();
      for (const mirror of Object.values(mirrors)) expectEqual(mirror, database);
      expect(crashed).toBe(point === 'engine.load.begun' || passed >= nth ? 1 : 0);
    }
  });

  test('of a sink or the source, wherever: nothing is lost, nothing is doubled, and readers never see what was not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(1_000), { maxLength: 60 }),
        fc.array(fc.record({ at: fc.nat(60), transactions: fc.nat(6), lost: fc.boolean() }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 3 }),
        async (tape, crashes, durableEvery) => {
          const choices = new Choices(tape);
          const shape = new Choices(seeded(tape.length));
          let left = Number.POSITIVE_INFINITY;
          const at = (): void => {
            if (left-- <= 0) throw new Error('crash');
          };
          const source: MemoryCaptureOptions = {
            cut: () => 1 + shape.below(4),
            partRows: () => 1 + shape.below(3),
            giant: 4,
            splitRows: 2,
            at,
          };
          const mirrors = { first: memoryMirror(), second: memoryMirror() };
          const { world, database } = worldOf({ mirrors, source, sink: { at, durableEvery: () => durableEvery } });
          for (let transactions = 4; transactions > 0; transactions--) workTransaction(database, choices);
          for (const crash of crashes) {
            left = crash.at;
            await world.catchUp().catch((error: unknown) => expect(String(error)).toContain('crash'));
            left = Number.POSITIVE_INFINITY;
            for (let transactions = crash.transactions; transactions > 0; transactions--) workTransaction(database, choices);
          }
          await world.catchUp();
          for (const mirror of Object.values(mirrors)) expectEqual(mirror, database);
          expect(database.slots.get('p_changes')?.confirmed).toBe(database.end);
        },
      ),
      { numRuns: Number(process.env['MILLRACE_STREAM_RUNS'] ?? 150) },
    );
  });

  test('of which only one sink has a group: the other gets it, and the first gets nothing twice', async () => {
    let fails = false;
    const mirrors = { quick: memoryMirror(), lame: memoryMirror() };
    const database = workloadDatabase();
    for (const mirror of Object.values(mirrors)) mirror.seen = () => expectAsAt(mirror, database);
    const world = streamWorld({
      database,
      tables: workloadTables,
      sinks: {
        quick: { mirror: mirrors.quick },
        lame: {
          mirror: mirrors.lame,
          at: (point) => {
            if (fails && point === 'apply.before') throw new Error('the target is down');
          },
        },
      },
      source: { cut: () => 1 },
    });
    busy(database, 1, 4);
    await world.catchUp();
    for (let round = 2; round < 6; round++) {
      busy(database, round, 4);
      fails = true;
      await expect(world.catchUp()).rejects.toThrow('the target is down');
      expect(mirrors.quick.durable.position! > mirrors.lame.durable.position!).toBe(true);
      expect(database.slots.get('p_changes')?.confirmed).toBe(mirrors.lame.durable.position);
      fails = false;
    }
    await world.catchUp();
    expectEqual(mirrors.quick, database);
    expectEqual(mirrors.lame, database);
  });
});

describe('sinks', () => {
  test('a sink that joins a running stream is copied into, and the others go on', async () => {
    const first = memoryMirror();
    const { database } = await followed({ first });
    busy(database, 2, 10);
    const second = memoryMirror();
    const { world } = worldOf({ database, mirrors: { first, second } });
    await world.catchUp();
    expectEqual(first, database);
    expectEqual(second, database);
    expect(database.slots.size).toBe(1);
  });

  test('a table that joins is copied, and one that was left out for a while is copied again', async () => {
    const mirror = memoryMirror();
    const { database } = await followed({ mirrored: mirror });
    const { pairs: _, ...some } = workloadTables;
    busy(database, 2, 10);
    const without = streamWorld({ database, tables: some, sinks: { mirrored: { mirror } } });
    await without.catchUp();
    expect(Object.keys(mirror.durable.copied).sort()).toEqual(['events', 'orders']);
    busy(database, 3, 10);
    const { world } = worldOf({ database, mirrors: { mirrored: mirror } });
    await world.catchUp();
    expectEqual(mirror, database);
  });

  test('the slowest decides what the source may forget, also one that buffers', async () => {
    const mirrors = { quick: memoryMirror(), slow: memoryMirror() };
    const database = workloadDatabase();
    const world = streamWorld({
      database,
      tables: workloadTables,
      sinks: { quick: { mirror: mirrors.quick }, slow: { mirror: mirrors.slow, durableEvery: () => 1_000 } },
      source: { cut: () => 1 },
    });
    await world.catchUp();
    const begun = mirrors.slow.durable.position;
    const stream = running(world);
    busy(database, 1, 5);
    await until(() => mirrors.quick.durable.position === database.end);
    expect(mirrors.slow.durable.position).toBe(begun);
    expect(database.slots.get('p_changes')?.confirmed).toBe(begun);
    await stream.stop();
    await world.catchUp();
    expect(mirrors.slow.durable.position).toBe(database.end);
    expectEqual(mirrors.slow, database);
  });

  test('asked to come to a good end, it makes durable what it has', async () => {
    const mirror = memoryMirror();
    const { world, database } = worldOf({ mirrors: { mirror }, sink: { durableEvery: () => 1_000 } });
    await world.catchUp();
    const ending = new AbortController();
    const reason = new MillraceError('SHUTDOWN', { message: 'the worker ends', remedy: '' });
    const ended = world.attempt({}, { ending: ending.signal });
    ended.catch(() => {});
    await until(() => world.progress.at(-1)?.phase === 'streaming');
    busy(database, 1, 5);
    await until(() => world.progress.at(-1)?.stream?.transactions !== 0);
    ending.abort(reason);
    await expect(ended).rejects.toBe(reason);
    expect(mirror.durable.position).toBe(database.end);
    expectEqual(mirror, database);
  });
});

describe('a full refresh', () => {
  test('makes the stream anew and copies beside what readers see', async () => {
    const mirror = memoryMirror();
    const { world, database } = await followed({ mirrored: mirror });
    const before = database.slots.get('p_changes')?.identity;
    busy(database, 2, 10);
    // What somebody has done to the target by hand goes.
    mirror.durable.tables.set('pairs', { schema: workloadTables.pairs, rows: new Map() });
    mirror.seen = undefined;
    await world.catchUp({ fullRefresh: true });
    expectEqual(mirror, database);
    expect(database.slots.get('p_changes')?.identity).not.toEqual(before);
  });

  test('is done once by a run, whatever happens to its attempts', async () => {
    for (const point of [
      'engine.stream.created',
      'engine.stream.followed',
      'engine.stream.table-copied',
      'engine.stream.applied',
    ] as const) {
      for (const nth of [1, 2]) {
        const mirrors = { first: memoryMirror(), second: memoryMirror() };
        const { world, database } = await followed(mirrors);
        world.parts = [];
        busy(database, 2, 6);
        let passed = 0;
        {
          using _ = watchFailpoints((name) => {
            if (name === point && ++passed === nth) throw new Error('crash');
          });
          await world.catchUp({ fullRefresh: true }).catch(() => {});
          busy(database, 3, 6);
          await world.catchUp({ fullRefresh: true }).catch(() => {});
        }
        await world.catchUp({ fullRefresh: true });
        const { identity } = database.slots.get('p_changes')!;
        busy(database, 4, 6);
        await world.catchUp({ fullRefresh: true });
        expect(database.slots.get('p_changes')?.identity).toEqual(identity);
        for (const mirror of Object.values(mirrors)) expectEqual(mirror, database);
      }
    }
  });
});

describe('a table that is copied again while the stream goes on', () => {
  test('is at every moment as the source once was, and takes over', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(100_000), async (seed) => {
        const choices = new Choices(seeded(seed + 7));
        const shape = new Choices(seeded(seed));
        const mirrors = { first: memoryMirror(), second: memoryMirror() };
        const database = workloadDatabase();
        let isBusy = false;
        let written = 0;
        // Whatever happens, somebody writes just then.
        const at = async (): Promise<void> => {
          if (shape.below(4) === 0) await sleep(shape.below(3));
          if (isBusy && shape.below(3) === 0 && written++ < 60) workTransaction(database, choices);
        };
        for (const mirror of Object.values(mirrors)) mirror.seen = () => expectAsAt(mirror, database);
        const buffers = { second: true };
        const world = streamWorld({
          database,
          tables: workloadTables,
          source: { cut: () => 1 + shape.below(3), partRows: () => 2, splitRows: 3, giant: 5, at },
          sinks: {
            first: { mirror: mirrors.first, at },
            second: { mirror: mirrors.second, at, durableEvery: () => (buffers.second ? 1_000 : 1) },
          },
        });
        busy(database, seed, 8);
        const before = running(world);
        await until(() => mirrors.first.durable.position === database.end);
        busy(database, seed + 1, 5);
        await until(() => mirrors.first.durable.position === database.end);
        await before.stop();
        buffers.second = false;
        const tables = shape.one([['orders'], ['pairs', 'events'], ['orders', 'pairs', 'events']]);
        const answers: unknown[] = [];
        const open = [{ id: 'q1', kind: 'resync' as const, tables }];
        isBusy = true;
        const stream = running(world, {
          streamRequests: async () => open,
          answerRequest: async (id, error) => {
            open.shift();
            answers.push({ id, error });
          },
        });
        await until(() => answers.length > 0);
        isBusy = false;
        expect(answers).toEqual([{ id: 'q1', error: null }]);
        for (const mirror of Object.values(mirrors))
          for (const name of tables) expect(mirror.durable.copied[name]! > database.slots.get('p_changes')!.identity.origin).toBe(true);
        workTransaction(database, choices);
        await until(() => Object.values(mirrors).every((mirror) => mirror.durable.position === database.end));
        for (const mirror of Object.values(mirrors)) expectEqual(mirror, database);
        await stream.stop();
        await world.catchUp();
        for (const mirror of Object.values(mirrors)) expectEqual(mirror, database);
      }),
      { numRuns: Number(process.env['MILLRACE_RESYNC_RUNS'] ?? 12) },
    );
  });

  test('is answered on a stream in which nothing moves', async () => {
    const { world, database, mirror } = await followed({ mirrored: memoryMirror() });
    mirror.durable.tables.set('pairs', { schema: workloadTables.pairs, rows: new Map() });
    mirror.seen = undefined;
    const answers: unknown[] = [];
    const stream = running(world, {
      streamRequests: async () => (answers.length === 0 ? [{ id: 'q1', kind: 'resync', tables: ['pairs'] }] : []),
      answerRequest: async (id, error) => void answers.push({ id, error }),
    });
    await until(() => answers.length > 0);
    expect(answers).toEqual([{ id: 'q1', error: null }]);
    expectEqual(mirror, database);
    await stream.stop();
  });

  test.for(['copy.begin', 'copy.stage', 'copy.apply', 'copy.finish.before'] as const)(
    'is as it was when the copy fails (%s), and the stream goes on',
    async (point) => {
      const mirror = memoryMirror();
      let fails = false;
      const { world, database } = worldOf({
        mirrors: { mirrored: mirror },
        sink: {
          at: async (one) => {
            if (!fails) return;
            if (one === point) throw new Error('no room');
            if (one === 'copy.staged') await sleep(20); // the stream goes on, so that the copy has to catch up
          },
        },
      });
      busy(database, 1, 10);
      await world.catchUp();
      fails = true;
      const answers: { error: unknown }[] = [];
      const stream = running(world, {
        streamRequests: async () => (answers.length === 0 ? [{ id: 'q1', kind: 'resync' as const, tables: ['orders'] }] : []),
        answerRequest: async (_, error) => void answers.push({ error }),
      });
      await until(() => {
        if (answers.length === 0) busy(database, 3, 1);
        return answers.length > 0;
      });
      expect(answers).toMatchObject([{ error: { message: expect.stringContaining('no room') } }]);
      busy(database, 4, 5);
      await until(() => mirror.durable.position === database.end);
      expectEqual(mirror, database);
      await stream.stop();
      expect(answers).toHaveLength(1);
    },
  );

  test('must be one of the stream', async () => {
    const { world } = await followed({ mirrored: memoryMirror() });
    const answers: { error: unknown }[] = [];
    const stream = running(world, {
      streamRequests: async () => [{ id: 'q1', kind: 'resync', tables: ['orders', 'nope'] }],
      answerRequest: async (_, error) => void answers.push({ error }),
    });
    await until(() => answers.length > 0);
    expect(answers).toMatchObject([{ error: { code: 'CONFIG_INVALID', message: 'The stream has no "nope".' } }]);
    await stream.stop();
  });

  test('asked for while nobody follows the stream is copied by a run that ends, before anything else', async () => {
    const mirror = memoryMirror();
    const { world, database } = worldOf({ mirrors: { mirrored: mirror } });
    busy(database, 1, 10);
    await world.catchUp();
    const { copied } = mirror.durable;
    busy(database, 11, 5);
    const answers: unknown[] = [];
    await world.attempt(
      { until: 'caught-up' },
      {
        streamRequests: async () => (answers.length === 0 ? [{ id: 'q1', kind: 'resync' as const, tables: ['orders'] }] : []),
        answerRequest: async (id, error) => void answers.push({ id, error }),
      },
    );
    expect(answers).toEqual([{ id: 'q1', error: null }]);
    expect(mirror.durable.copied['orders']).not.toEqual(copied['orders']);
    expectEqual(mirror, database);
  });

  test('a stream that is stopped in the middle of it leaves nothing behind, and does it from the beginning next time', async () => {
    const mirror = memoryMirror();
    let waits: (() => void) | undefined;
    let isSlow = false;
    const { world, database } = worldOf({
      mirrors: { mirrored: mirror },
      sink: {
        at: async (point) => {
          if (isSlow && point === 'copy.staged') await new Promise<void>((resolve) => (waits = resolve));
        },
      },
    });
    busy(database, 1, 10);
    await world.catchUp();
    const copied = { ...mirror.durable.copied };
    isSlow = true;
    const answers: unknown[] = [];
    const ports = {
      streamRequests: async () => (answers.length === 0 ? [{ id: 'q1', kind: 'resync' as const, tables: ['orders'] }] : []),
      answerRequest: async (id: string, error: unknown) => void answers.push({ id, error }),
    };
    const stream = running(world, ports);
    await until(() => waits !== undefined);
    const stopped = stream.stop();
    isSlow = false;
    waits?.();
    await stopped;
    expect(answers).toEqual([]);
    expect(mirror.durable.copied).toEqual(copied);
    const again = running(world, ports);
    await until(() => answers.length > 0);
    expect(answers).toEqual([{ id: 'q1', error: null }]);
    await again.stop();
    expectEqual(mirror, database);
  });
});

describe('a transaction that is too large for memory', () => {
  const numbers = table('numbers', { id: int4() }, { key: ['id'] });

  test('is one act, however many parts it comes in, and stopping in the middle leaves nothing of it', async () => {
    const database = new MemoryDatabase({ numbers });
    const mirror = memoryMirror();
    let parts = 0;
    let hold = false;
    let release: () => void = () => {};
    const world = streamWorld({
      database,
      tables: { numbers },
      sinks: { mirrored: { mirror } },
      source: {
        giant: 10,
        partRows: () => 2,
        at: async (point) => {
          if (point !== 'part' || !hold || ++parts < 20) return;
          await new Promise<void>((resolve) => (release = resolve));
        },
      },
    });
    await world.catchUp();
    const seen: number[] = [];
    mirror.seen = () => seen.push(mirror.durable.tables.get('numbers')?.rows.size ?? 0);
    database.commit(...Array.from({ length: 100 }, (_, id) => ({ do: 'insert', table: 'numbers', row: { id } }) as const));
    hold = true;
    const stream = running(world);
    await until(() => parts >= 20);
    expect(world.progress.at(-1)?.rows).toBeGreaterThan(20);
    const stopped = stream.stop();
    release();
    await stopped;
    hold = false;
    expect(seen).toEqual([]);
    await world.catchUp();
    expect([...new Set(seen)]).toEqual([100]);
  });

  test('holds few of its parts at once, whatever its size', async () => {
    const database = new MemoryDatabase({ numbers });
    const mirrors = { quick: memoryMirror(), slow: memoryMirror() };
    const count = { given: 0, quick: 0, slow: 0 };
    let most = 0;
    const watch = (): void => {
      most = Math.max(most, count.given - Math.min(count.quick, count.slow));
    };
    const taking = (name: 'quick' | 'slow', wait: number) => async (point: string) => {
      if (point !== 'apply.part') return;
      if (wait > 0 && count.slow % 50 === 0) await sleep(wait);
      count[name]++;
      watch();
    };
    const world = streamWorld({
      database,
      tables: { numbers },
      sinks: { quick: { mirror: mirrors.quick, at: taking('quick', 0) }, slow: { mirror: mirrors.slow, at: taking('slow', 2) } },
      source: {
        giant: 100,
        partRows: () => 1,
        at: (point) => {
          if (point === 'part') count.given++;
          watch();
        },
      },
    });
    await world.catchUp();
    database.commit(...Array.from({ length: 1_000 }, (_, id) => ({ do: 'insert', table: 'numbers', row: { id } }) as const));
    await world.catchUp();
    expect(count).toEqual({ given: 1_000, quick: 1_000, slow: 1_000 });
    expect(most).toBeLessThanOrEqual(3);
  });
});

async function followed(mirrors: Readonly<Record<string, MemoryMirror>>) {
  const made = worldOf({ mirrors });
  busy(made.database, 1, 10);
  await made.world.catchUp();
  for (const mirror of Object.values(mirrors)) expectEqual(mirror, made.database);
  return made;
}
