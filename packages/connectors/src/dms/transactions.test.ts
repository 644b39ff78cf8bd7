import { inspect, isDeepStrictEqual } from 'node:util';
import { Choices, plainState, seeded } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Written } from '../../../../test/dms-files.ts';
import { type DmsServer, dmsServer } from '../../../../test/dms-server.ts';
import { texts, dmsWork as work } from '../../test/dms-workload.ts';
import { dmsWorld, insert, update } from '../../test/dms-world.ts';
import type { JournalFile } from './journal.ts';
import { type Edges, wholeTransactions } from './transaction-files.ts';

let server: DmsServer;
beforeAll(async () => {
  server = await dmsServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const output = { PreserveTransactions: true, CdcPath: 'tx' } as const;
/** A look at the files so many seconds after one was written. */
const after = ({ modified }: Written, seconds: number) => ({ now: () => new Date(modified.getTime() + seconds * 1_000) });

test('a transaction in two files is applied when both are there, as one', async () => {
  const { database, task, stream, deliver, state, expectEqual } = dmsWorld(server, { output, overlap: 0, transactionWait: '120s' });
  database.commit(insert(1), insert(2));
  await stream.catchUp();
  const before = state();
  database.commit(update(1, 'less'), update(2, 'more'));
  const [first, second] = (await task.changes(() => 1)) as [Written, Written];
  await deliver([first]);
  await stream.attempt({ until: 'caught-up' }, after(first, 60));
  expect(state()).toEqual(before);
  await deliver([second]);
  await stream.attempt({ until: 'caught-up' }, after(second, 60));
  expect(state()).toEqual(before);
  await stream.attempt({ until: 'caught-up' }, after(second, 121));
  expectEqual();
});

test('what comes after the end of a transaction lets it go at once', async () => {
  const { database, task, stream, deliver, state } = dmsWorld(server, { output, overlap: 0, transactionWait: '120s' });
  database.commit(insert(1));
  await stream.catchUp();
  database.commit(update(1, 'first'));
  const whole = plainState(database.stateAt(database.end));
  database.commit(update(1, 'second'));
  const files = await task.changes(() => 1);
  await deliver(files);
  await stream.attempt({ until: 'caught-up' }, after(files.at(-1)!, 1));
  expect(state()).toEqual(whole);
});

test('the rest of a transaction that comes too late is applied all the same, and said', async () => {
  const { database, task, stream, deliver, state, expectEqual } = dmsWorld(server, { output, overlap: 0, transactionWait: '0s' });
  database.commit(insert(1), insert(2));
  await stream.catchUp();
  database.commit(update(1, 'less'), update(2, 'more'));
  const [first, second] = (await task.changes(() => 1)) as [Written, Written];
  await deliver([first]);
  const controller = new AbortController();
  const going = stream.attempt({}, { signal: controller.signal });
  await expect.poll(() => inspect(state(), { depth: 9 }), { timeout: 60_000 }).toContain('less');
  await deliver([second]);
  await expect.poll(() => stream.log.join('\n'), { timeout: 60_000 }).toContain('it is applied in two');
  controller.abort(new Error('enough'));
  await going.catch(() => {});
  await stream.catchUp();
  expectEqual();
});

test('whatever the files are cut into, every state that is seen is one of the source', async () => {
  const { database, task, stream, deliver, state, expectEqual } = dmsWorld(server, { output, overlap: 0, transactionWait: '120s' });
  const choices = new Choices(seeded(11));
  for (let left = 6; left > 0; left--) work(database, choices, texts);
  await stream.catchUp();
  const seen = [plainState(database.stateAt(database.end))];
  for (let left = 8; left > 0; left--) {
    work(database, choices, texts);
    seen.push(plainState(database.stateAt(database.end)));
  }
  const files = await task.changes(() => 1 + choices.below(4));
  let last = files[0]!;
  for (let from = 0; from < files.length; from += 3) {
    const some = files.slice(from, from + 3);
    await deliver(some);
    last = some.at(-1)!;
    await stream.attempt({ until: 'caught-up' }, after(last, 30));
    expect(seen.some((one) => isDeepStrictEqual(one, state()))).toBe(true);
  }
  await stream.attempt({ until: 'caught-up' }, after(last, 300));
  expectEqual();
});

const file = (number: number): JournalFile => ({
  key: `tx/${number}`,
  etag: '',
  size: 1,
  modified: '2026-01-01T00:00:00.000Z',
  stamp: `${number}`,
});
const files = (...edges: readonly (Edges | null)[]) => edges.map((one, at) => ({ file: file(at), edges: one }));
const keys = (chains: readonly (readonly JournalFile[])[]): string[][] => chains.map((chain) => chain.map(({ key }) => key));

test('files belong together where one goes on with the commit that the one before ended with', () => {
  const some = files(
    { first: 'a', last: 'b' },
    { first: 'b', last: 'b' },
    null,
    { first: 'b', last: 'c' },
    { first: 'd', last: 'd' },
    { first: 'e', last: 'e' },
  );
  expect(keys(wholeTransactions(some, () => false))).toEqual([['tx/0', 'tx/1', 'tx/2', 'tx/3'], ['tx/4'], ['tx/5']]);
  expect(keys(wholeTransactions(some, () => true))).toEqual([['tx/0', 'tx/1', 'tx/2', 'tx/3'], ['tx/4']]);
  expect(wholeTransactions(some.slice(0, 4), () => true)).toEqual([]);
  expect(wholeTransactions([], () => true)).toEqual([]);
});
