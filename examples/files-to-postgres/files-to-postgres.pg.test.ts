import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';

const inbox = mkdtempSync(join(tmpdir(), 'millrace-inbox-'));
cpSync(new URL('./inbox', import.meta.url), inbox, { recursive: true });
const { databases, must, run } = example(import.meta.url, ['WAREHOUSE_URL'], () => ({ INBOX_URL: `file:${inbox}` }));
const warehouse = (text: string) => databases['WAREHOUSE_URL']?.sql(text);

test('CSV, JSON Lines and Parquet end up in one table, to the letter', async () => {
  await must('run', 'files-to-postgres');
  expect(
    await warehouse("select sensor, measured_at at time zone 'UTC' as at, celsius, note from public.readings order by 1, 2"),
  ).toHaveLength(8);
  expect(await warehouse("select celsius, note from public.readings where sensor = 1 and measured_at = '2026-03-01T01:00:00Z'")).toEqual([
    { celsius: -4.5, note: 'corrected' },
  ]);
  expect(await warehouse("select note from public.readings where sensor = 2 and measured_at = '2026-03-01T00:00:00.123456Z'")).toEqual([
    { note: '' },
  ]);
  expect(await warehouse('select count(*)::int as nulls from public.readings where note is null')).toEqual([{ nulls: 4 }]);
  expect(await warehouse('select place from public.sensors order by id')).toEqual([
    { place: 'Roof, north side' },
    { place: 'Cellar "B"' },
    { place: 'Garage 車庫' },
  ]);
  await must('verify', 'files-to-postgres');

  // Sent once more, with a file that is not what its name says.
  writeFileSync(join(inbox, 'readings', '2026-03-04.csv'), 'sensor,measured_at,celsius,note\nroof,2026-03-04T00:00:00Z,1,\n');
  const refused = await run('run', 'files-to-postgres');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('2026-03-04.csv');
  expect(await warehouse('select count(*)::int as rows from public.readings')).toEqual([{ rows: 8 }]);
});
