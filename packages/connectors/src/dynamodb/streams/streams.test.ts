import { int4, table, text } from '@millrace/core';
import {
  type ChangeGroup,
  type ChangeSource,
  changeKinds,
  isMillraceError,
  type Position,
  type SourceTransaction,
  type TableSnapshot,
} from '@millrace/core/runtime';
import { Choices, seeded } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { type FakeStreams, fakeStreams } from '../../../test/fake-streams.ts';
import { testContext } from '../../../test/load.ts';
import { readAll } from '../../../test/read.ts';
import { dynamodb } from '../index.ts';

const orders = table('orders', { id: int4(), note: text().orNull() }, { key: ['id'] });
const carts = table('carts', { id: int4(), note: text().orNull() }, { key: ['id'] });
const tables = { orders, carts };
type Name = keyof typeof tables;
type Rows = Map<string, string | null>;

const open = (fake: FakeStreams, epoch: number, of: Partial<typeof tables> = tables): Promise<ChangeSource> =>
  dynamodb(fake.settings).capture(of, { pollMs: 1 }).open(testContext(), { pipeline: 'shop', step: 'changes' }, epoch);

/** What a target has: rows by table and id. */
class Mirror {
  readonly rows: Rows = new Map();
  position: Position | null = null;

  async copy(snapshot: TableSnapshot, names: readonly string[] = Object.keys(tables)): Promise<void> {
    await using source = snapshot;
    for (const name of names) {
      await using rows = await source.table(name);
      const plan = await rows.plan({ absorbed: [], since: null, splitBytes: 1024, earlier: null });
      for (const split of plan.splits) {
        const channel = await rows.open(split, 'batches');
        if (channel.format !== 'batches') throw new TypeError('not batches');
        for await (const { rowCount, vectors } of channel.batches)
          for (let row = 0; row < rowCount; row++) this.rows.set(`${name} ${vectors[0]?.get(row)}`, vectors[1]?.get(row) as string | null);
      }
    }
    this.position = source.position;
  }

  async apply(group: ChangeGroup): Promise<void> {
    for await (const part of group.parts) {
      if (part.kind !== 'changes') throw new TypeError('only changes are expected');
      for (const [row, kind] of part.kinds.entries()) {
        const key = `${part.table} ${part.rows.vectors[0]?.get(row)}`;
        if (kind === changeKinds.delete) this.rows.delete(key);
        else this.rows.set(key, part.rows.vectors[1]?.get(row) as string | null);
      }
    }
    this.position = group.position();
  }
}

async function expected(fake: FakeStreams): Promise<Rows> {
  const rows: Rows = new Map();
  for (const name of Object.keys(tables)) for (const { id, note } of await fake.items(name)) rows.set(`${name} ${id?.N}`, note?.S ?? null);
  return rows;
}

const sorted = (rows: Rows) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1));

async function shop(shards = 2): Promise<FakeStreams> {
  const fake = await fakeStreams();
  for (const name of Object.keys(tables)) await fake.create(name, shards);
  return fake;
}

async function work(fake: FakeStreams, choices: Choices, writes: number): Promise<void> {
  for (let left = writes; left > 0; left--) {
    const name = choices.one<Name>(['orders', 'carts']);
    const id = { N: String(choices.below(12)) };
    if (choices.below(4) === 0) await fake.remove(name, { id });
    else await fake.put(name, { id, note: { S: `note ${left} ${choices.below(1000)}` } });
    if (choices.below(15) === 0) fake.split(name);
  }
}

/** Groups up to where everything is that was there when it began, or as many as `most`. */
async function* groups(source: ChangeSource, from: Position, most = Number.POSITIVE_INFINITY): AsyncGenerator<ChangeGroup> {
  const until = (await source.stream())?.end as Position;
  const stop = new AbortController();
  let count = 0;
  for await (const group of source.read(from, { signal: stop.signal, until })) {
    yield group;
    if (++count >= most) stop.abort();
  }
}

for (const seed of [1, 2]) {
  test(`a target has what the tables have, through shards that split and attempts that end anywhere (seed ${seed})`, async () => {
    await using fake = await shop();
    const choices = new Choices(seeded(seed));
    await work(fake, choices, 20);
    const mirror = new Mirror();
    const seen: SourceTransaction[] = [];
    let origin: Position;
    {
      await using source = await open(fake, 1);
      expect(await source.stream()).toBeNull();
      const { identity, snapshot } = await source.create();
      origin = identity.origin;
      await work(fake, choices, 10);
      await mirror.copy(snapshot);
    }
    for (let round = 2; round < 5; round++) {
      await work(fake, choices, 15);
      await using source = await open(fake, round);
      for await (const group of groups(source, mirror.position as Position, 1 + choices.below(2))) {
        seen.push(...group.transactions);
        for (const { commit } of group.transactions) expect(commit >= (mirror.position as Position)).toBe(true);
        await mirror.apply(group);
        for (const { commit } of group.transactions) expect(commit < group.position()).toBe(true);
      }
    }
    await using source = await open(fake, 9);
    for await (const group of groups(source, mirror.position as Position)) {
      seen.push(...group.transactions);
      await mirror.apply(group);
    }
    expect(sorted(mirror.rows)).toEqual(sorted(await expected(fake)));

    const again: SourceTransaction[] = [];
    const other = new Mirror();
    await using late = await open(fake, 10);
    const until = mirror.position as Position;
    for await (const group of late.read(origin, { signal: new AbortController().signal, until })) {
      again.push(...group.transactions);
      await other.apply(group);
    }
    const known = ({ commit, committedAt, xid }: SourceTransaction) => ({ commit, committedAt, xid });
    expect(again.map(known)).toEqual(seen.map(known));
  });
}

test('what was released is forgotten, and a target that needs it must be copied again', async () => {
  await using fake = await shop(1);
  const mirror = new Mirror();
  await using source = await open(fake, 1);
  const { identity, snapshot } = await source.create();
  await mirror.copy(snapshot);
  for (let round = 0; round < 3; round++) {
    await fake.put('orders', { id: { N: String(round) }, note: { S: 'x' } });
    for await (const group of groups(source, mirror.position as Position)) await mirror.apply(group);
  }
  source.release(mirror.position as Position);
  await source[Symbol.asyncDispose]();
  await using next = await open(fake, 2);
  expect(await next.stream()).toMatchObject({ identity, confirmed: mirror.position });
  expect((await readJournal(fake)).length).toBe(2);
  await expect(next.read(identity.origin, { signal: new AbortController().signal })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: 'RESYNC_REQUIRED',
  });
  await fake.put('orders', { id: { N: '9' }, note: { S: 'x' } });
  for await (const group of groups(next, mirror.position as Position)) await mirror.apply(group);
  await using anew = await open(fake, 3);
  expect((await anew.create()).identity.origin > (mirror.position as Position)).toBe(true);
  expect((await readJournal(fake)).length).toBe(2);
});

const readJournal = async (fake: FakeStreams): Promise<string[]> => {
  const ledger = table('millrace', { owner: text() }, { key: ['owner'] });
  return (await readAll(dynamodb(fake.settings).scan(ledger))).rows.map(({ owner }) => owner as string);
};

test('changes that were trimmed, and a stream that was made anew, are said', async () => {
  await using fake = await shop(1);
  const mirror = new Mirror();
  {
    await using source = await open(fake, 1);
    await mirror.copy((await source.create()).snapshot);
    await fake.put('orders', { id: { N: '1' }, note: { S: 'x' } });
    for await (const group of groups(source, mirror.position as Position)) await mirror.apply(group);
  }
  await fake.put('orders', { id: { N: '2' }, note: { S: 'x' } });
  fake.trim('orders');
  const codeOf = async (epoch: number) => {
    await using source = await open(fake, epoch);
    try {
      for await (const group of groups(source, mirror.position as Position)) await mirror.apply(group);
      return 'read';
    } catch (error) {
      return isMillraceError(error) ? error.code : String(error);
    }
  };
  expect(await codeOf(2)).toBe('RESYNC_REQUIRED');
  fake.renew('orders');
  expect(await codeOf(3)).toBe('RESYNC_REQUIRED');
});

test('an attempt that was followed by another cuts no more groups', async () => {
  await using fake = await shop(1);
  await using zombie = await open(fake, 1);
  const { identity } = await zombie.create();
  const reading = zombie.read(identity.origin, { signal: AbortSignal.timeout(30_000) })[Symbol.asyncIterator]();
  await fake.put('orders', { id: { N: '1' }, note: { S: 'x' } });
  const first = await reading.next();
  await using next = await open(fake, 2);
  const mirror = new Mirror();
  for await (const group of groups(next, first.value?.position() as Position)) await mirror.apply(group);
  await fake.put('orders', { id: { N: '2' }, note: { S: 'x' } });
  await expect(reading.next()).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
  for await (const group of groups(await open(fake, 3), mirror.position as Position)) await mirror.apply(group);
  expect(mirror.rows.get('orders 2')).toBe('x');
});

test('what comes after a look at tables is kept for as long as the look goes on', async () => {
  await using fake = await shop(1);
  await using source = await open(fake, 1);
  const { identity, snapshot } = await source.create();
  await snapshot[Symbol.asyncDispose]();
  const [main, beside] = [new Mirror(), new Mirror()];
  main.position = identity.origin;
  const stop = new AbortController();
  const reading = (async () => {
    for await (const group of source.read(identity.origin, { signal: stop.signal })) {
      await main.apply(group);
      source.release(group.position());
    }
  })();
  await fake.put('orders', { id: { N: '1' }, note: { S: 'x' } });
  await expect.poll(() => main.rows.get('orders 1')).toBe('x');
  const look = await source.snapshot(['orders']);
  for (const id of ['1', '2', '3']) {
    await fake.put('orders', { id: { N: id }, note: { S: `after ${id}` } });
    await fake.put('carts', { id: { N: id }, note: { S: 'x' } });
    await expect.poll(() => main.rows.get(`orders ${id}`)).toBe(`after ${id}`);
    await expect.poll(() => main.rows.get(`carts ${id}`)).toBe('x');
  }
  const until = (await source.stream())?.end as Position;
  await source.nudge();
  for await (const group of look.read({ signal: stop.signal, until })) await beside.apply(group);
  expect(sorted(beside.rows)).toEqual([1, 2, 3].map((id) => [`orders ${id}`, `after ${id}`]));
  await look[Symbol.asyncDispose]();
  stop.abort();
  await reading;
});

test('a table that comes later is followed from then on, and one that goes and comes back is copied again', async () => {
  await using fake = await shop(1);
  const mirror = new Mirror();
  const { orders } = tables;
  let identity: unknown;
  {
    await using source = await open(fake, 1, { orders });
    const made = await source.create();
    identity = made.identity;
    await mirror.copy(made.snapshot, ['orders']);
    await fake.put('orders', { id: { N: '1' }, note: { S: 'x' } });
    for await (const group of groups(source, mirror.position as Position)) await mirror.apply(group);
  }
  await fake.put('carts', { id: { N: '7' }, note: { S: 'before' } });
  fake.split('carts');
  for (const [epoch, id] of [
    [2, '8'],
    [4, '9'],
  ] as const) {
    await using source = await open(fake, epoch);
    expect((await source.stream())?.identity).toEqual(identity);
    await fake.put('orders', { id: { N: id }, note: { S: 'x' } });
    await mirror.copy(await source.snapshot(['carts']), ['carts']);
    await fake.put('carts', { id: { N: id }, note: { S: 'after' } });
    for await (const group of groups(source, mirror.position as Position)) await mirror.apply(group);
    expect(sorted(mirror.rows)).toEqual(sorted(await expected(fake)));
    await using without = await open(fake, epoch + 1, { orders });
    for await (const group of groups(without, mirror.position as Position)) await mirror.apply(group);
    await fake.put('carts', { id: { N: '7' }, note: { S: `between ${id}` } });
    fake.split('carts');
    fake.trim('carts');
  }
});

test('a table without a stream, or with one of keys only, is named, with what turns it on', async () => {
  await using fake = await fakeStreams();
  await fake.create('orders');
  const capture = dynamodb(fake.settings).capture(tables);
  const findings = await capture.examine(testContext(), { pipeline: 'shop', step: 'changes' });
  expect(findings.map(({ subject, level }) => `${subject} ${level}`)).toEqual(['orders ok', 'carts problem']);
  await fake.create('carts', 1, { id: 'N' }, 'KEYS_ONLY');
  await expect(open(fake, 1)).rejects.toMatchObject({ code: 'CAPTURE_IMPOSSIBLE', message: expect.stringContaining('KEYS_ONLY') });
});
