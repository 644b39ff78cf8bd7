import { int8, type LoadMode, numeric, table, text, varchar } from '@millrace/core/runtime';
import { mysql } from '../src/mysql/index.ts';
import { loadRows, type Row, testContext } from './load.ts';

/** What `crash.maria.test.ts` tells a process to do: the second load of a table. */
export interface MysqlErrand {
  readonly url: string;
  readonly mode: LoadMode;
  readonly epoch: number;
}

export const things = table('things', { id: int8(), code: varchar(20), total: numeric(12, 2), note: text().orNull() }, { key: ['id'] });

const thing = (id: number, total: number, note: string | null = null): Row => ({
  id: BigInt(id),
  code: `c${id}`,
  total: `${total}.00`,
  note,
});
const first = [thing(1, 1), thing(2, 2, 'two'), thing(3, 3)];
const more = (after: number): Row[][] => [[thing(after + 2, 2, 'two'), thing(after + 3, 30)], [thing(after + 4, 4, 'four\twith\\a tab\n')]];

/** The load that is there before. */
export const loadFirst = ({ url, mode }: MysqlErrand) =>
  loadRows(mysql({ url }).table(things, { mode, schema: 'create' }), {
    id: 'load-1',
    key: 'run-1/load',
    runAt: '2026-03-29T02:00:00.000Z',
    context: testContext('2026-03-29T02:00:00.000Z'),
    splits: [first],
  });

export const loadSecond = ({ url, mode, epoch }: MysqlErrand) =>
  loadRows(mysql({ url }).table(things, { mode, schema: 'create' }), {
    id: 'load-2',
    key: 'run-2/load',
    epoch,
    runAt: '2026-03-30T02:00:00.000Z',
    context: testContext('2026-03-30T02:00:00.000Z'),
    // What is appended is new; all else meets the rows that are there.
    splits: more(mode === 'append' ? 10 : 0),
  });

if (process.argv[2]?.startsWith('{')) {
  loadSecond(JSON.parse(process.argv[2]) as MysqlErrand).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}
