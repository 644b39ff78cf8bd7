import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { localStorage } from '../s3/local-storage.ts';
import { Journal, type JournalFile } from './journal.ts';

const minute = 60_000;
const place = () => localStorage(mkdtempSync(join(tmpdir(), 'millrace-journal-')));

const file = (number: number): JournalFile => ({
  key: `public/orders/20260101-${String(number).padStart(9, '0')}.csv`,
  etag: `e${number}`,
  size: 10,
  modified: new Date(Date.UTC(2026, 0, 1) + number * minute).toISOString(),
  stamp: `20260101${String(number).padStart(9, '0')}000000`,
});

const begun = {
  kind: 'begin',
  startedAt: '2026-01-01T00:00:00.000Z',
  horizons: {},
  shapes: { orders: { file: '16384', columns: '1 "id"' } },
} as const;

async function write(journal: Journal, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) {
    const entry = journal.next;
    await journal.append({ kind: 'changes', stream: 'orders', files: [file(number)] });
    await journal.keepFacts(entry, {
      files: [{ rows: 1, low: String(number).padStart(5, '0'), high: String(number).padStart(5, '0') }],
      against: [],
    });
  }
}

test('whoever opens it finds what was written, and the facts of what was read', async () => {
  const storage = place();
  const journal = await Journal.open(storage, 's', 1, 60 * minute);
  expect(journal.begin).toBeNull();
  await journal.append(begun);
  await write(journal, 1, 4);
  const later = await Journal.open(storage, 's', 2, 60 * minute);
  expect(later.next).toBe(4);
  expect(later.begin).toEqual({ entry: 0, startedAt: begun.startedAt, shapes: begun.shapes });
  expect([...later.streamOf('orders').recent.values()].map(({ key, entry }) => [key, entry])).toEqual(
    [1, 2, 3].map((at) => [file(at).key, at]),
  );
  expect(await later.facts(2)).toMatchObject({ files: [{ low: '00002' }] });
});

test('of two writers of the same entry one is told that it came second, and takes the other one in', async () => {
  const storage = place();
  const first = await Journal.open(storage, 's', 1, minute);
  const second = await Journal.open(storage, 's', 2, minute);
  expect(await first.append(begun)).toBe(true);
  expect(await second.append({ kind: 'mark' })).toBe(false);
  expect(second.begin).toEqual({ entry: 0, startedAt: begun.startedAt, shapes: begun.shapes });
  expect(await second.append({ kind: 'mark' })).toBe(true);
  await expect(first.append({ kind: 'mark' })).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
});

test('entries that were passed go, and who comes later needs them no more', async () => {
  const storage = place();
  const journal = await Journal.open(storage, 's', 1, 10 * minute);
  await journal.append(begun);
  await write(journal, 1, 200);
  await journal.prune(200);
  expect(journal.first).toBeGreaterThan(100);
  const later = await Journal.open(storage, 's', 2, 10 * minute);
  expect(later.first).toBe(journal.first);
  expect(later.next).toBe(200);
  expect(later.begin).toEqual({ entry: 0, startedAt: begun.startedAt, shapes: begun.shapes });
  const { horizon, highest, recent } = later.streamOf('orders');
  const old = Number(highest);
  expect(old).toBeGreaterThan(100);
  expect(horizon).toBe(file(old).stamp);
  expect([...recent.values()].map(({ entry }) => entry)).toEqual(Array.from({ length: 199 - old }, (_, at) => old + 1 + at));
});

test('nothing goes that nobody has read', async () => {
  const storage = place();
  const journal = await Journal.open(storage, 's', 1, 10 * minute);
  await journal.append(begun);
  for (let number = 1; number < 150; number++) await journal.append({ kind: 'changes', stream: 'orders', files: [file(number)] });
  await journal.prune(150);
  expect(journal.first).toBe(0);
  expect((await Journal.open(storage, 's', 2, 10 * minute)).streamOf('orders').recent.size).toBe(149);
});

test('an entry that somebody has removed is not passed over', async () => {
  const storage = place();
  const journal = await Journal.open(storage, 's', 1, minute);
  await journal.append(begun);
  await write(journal, 1, 4);
  await storage.delete(['_millrace/dms/s/0000000002.json']);
  await expect(Journal.open(storage, 's', 2, minute)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED' });
});
