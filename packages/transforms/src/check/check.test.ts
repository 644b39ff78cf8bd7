import { date, int8, numeric, run, type SqlConnection, table, text, timestamptz } from '@millrace/core/runtime';
import { describe, expect, test } from 'vitest';
import { encodedBatches, given, runTransform } from '../../../../test/run-transform.ts';
import { accepted, call, check, type Expectation, freshness, notNull, on, query, range, rowCount, sql, unique } from '../index.ts';

const facts = table(
  'mart.facts',
  { id: int8(), total: numeric().orNull(), currency: text().orNull(), day: date(), at: timestamptz() },
  { key: ['id'] },
);
const fact = (n: number, change: object = {}) => ({
  id: BigInt(n),
  total: `${n}.0`,
  currency: 'EUR',
  day: '2024-02-28',
  at: '2024-02-28T10:00:00.000000Z',
  ...change,
});
const rows = given<{ id: bigint; total: string | null; currency: string | null; day: string; at: string }>(facts);

async function checked(expectation: Expectation<'id' | 'total' | 'currency' | 'day' | 'at'>, ...splits: object[][]) {
  const parts = Object.fromEntries(splits.map((split, index) => [`s${index}`, encodedBatches(facts, split as never, 3)]));
  const out = await runTransform(check(rows, [expectation]), parts);
  expect(out.rows).toHaveLength(splits.flat().length);
  return out.checks[0]!;
}

describe('rows on their way', () => {
  const six = Array.from({ length: 6 }, (_, n) => fact(n));

  test.each([
    ['not null: currency', notNull('currency'), [fact(1), fact(2, { currency: null })], '1 of 2 rows', ['null (row 1 of split s0)']],
    [
      'accepted: currency',
      accepted('currency', ['EUR']),
      [fact(1, { currency: null }), fact(2, { currency: 'X' })],
      '1 of 2 rows',
      ['"X" (row 1 of split s0)'],
    ],
    [
      'range: total',
      range('total', { min: '0', max: 10 }),
      [fact(1, { total: '10.000000000000000000001' }), fact(2, { total: '-0.1' }), fact(3, { total: '9.9' })],
      '2 of 3 rows',
      ['"10.000000000000000000001" (row 0 of split s0)', '"-0.1" (row 1 of split s0)'],
    ],
    ['range: total', range('total', { max: 10 }), [fact(1, { total: 'NaN' })], '1 of 1 rows', ['"NaN" (row 0 of split s0)']],
    ['row count', rowCount({ min: 3 }), [fact(1)], '1 rows', []],
    ['row count', rowCount({ max: 1 }), six, '6 rows', []],
    ['freshness: at', freshness('at', '1d'), six, 'the newest is 2024-02-28T10:00:00.000000Z, more than 1d ago', []],
    ['freshness: day', freshness('day', '36h'), six, 'the newest is 2024-02-28, more than 36h ago', []],
    ['freshness: at', freshness('at', '1d'), [], 'there is no value at all', []],
    [
      'unique: total',
      unique('total'),
      [fact(1, { total: '1.50' }), fact(2, { total: null }), fact(3, { total: null }), fact(4, { total: '1.5' })],
      '1 of 2 keys repeat an earlier one',
      ['row 3 of split s0'],
    ],
  ] as const)('%s fails with what was found', async (name, expectation, given, found, sample) => {
    expect(await checked(expectation as never, given as never)).toEqual({ check: name, severity: 'fail', passed: false, found, sample });
  });

  test.each([
    [notNull('currency')],
    [accepted('currency', ['EUR', 'USD'])],
    [range('total', { min: '0', max: '5' })],
    [rowCount({ min: 6, max: 6 })],
    [freshness('at', '2d')],
    [freshness('day', '2d')],
    [unique('id')],
    [unique('id', 'day')],
  ])('$0.name holds', async (expectation) => {
    expect(await checked(expectation as never, six.slice(0, 3), six.slice(3))).toMatchObject({ passed: true });
  });

  test('a warning is one by its severity, and the rest of the expectation stays', async () => {
    const { warn, ...soft } = notNull('currency').warn();
    expect(warn).toBeTypeOf('function');
    expect(soft).toMatchObject({ name: 'not null: currency', severity: 'warn', columns: ['currency'] });
    expect(await checked(notNull('currency').warn(), [fact(1, { currency: null })])).toMatchObject({ severity: 'warn', passed: false });
  });

  test('unique keeps hundreds of thousands of keys on disk and finds every one that comes again, across splits', async () => {
    const many = (from: number, count: number) => Array.from({ length: count }, (_, n) => fact(from + n));
    const parts = {
      a: encodedBatches(facts, many(0, 300_000) as never, 16_384),
      b: encodedBatches(facts, many(299_990, 20_010) as never, 16_384),
    };
    const out = await runTransform(check(rows, [unique('id')]), parts);
    expect(out.checks[0]).toMatchObject({ passed: false, found: '10 of 320,010 keys repeat an earlier one' });
    expect(out.checks[0]!.sample).toHaveLength(5);
  });

  test('a split that is begun again counts once', async () => {
    const step = check(rows, [unique('id'), rowCount({ max: 6 }), notNull('id')]);
    if (step.work.kind !== 'transform') throw new Error('no transform');
    const context = { spool: '/nowhere', step: 's', now: () => new Date(0) } as never;
    const running = await step.work.transform.start(facts, context);
    for (let attempt = 0; attempt < 2; attempt++) {
      const split = running.split('a');
      for (const batch of encodedBatches(facts, six as never, 4)) await split.apply(batch);
    }
    expect(await running.finish()).toMatchObject([{ passed: true }, { passed: true }, { passed: true, found: '0 of 6 rows' }]);
  });

  test.each([
    [() => check(rows, [notNull('nope' as never)]), 'there is no column "nope"'],
    [() => check(rows, [freshness('currency', '1d')]), 'text tells no moment'],
    [() => check(rows, [range('total', { min: 'x' })]), '"x" does not fit numeric'],
    [() => check(rows, []), 'nothing is expected'],
    [() => range('total', {}), 'there are no bounds'],
    [() => rowCount({ min: -1 }), 'not a number of rows'],
    [() => accepted('currency', []), 'the list is empty'],
    [() => freshness('at', '1 day' as never), 'is not a duration'],
  ])('%s does not compile', (make, message) => {
    expect(make).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID', message: expect.stringContaining(message) }));
  });
});

describe('a database', () => {
  const warehouse = (dialect: SqlConnection['dialect']) =>
    ({ kind: 'connection', connector: 'x', label: 'warehouse', dialect }) as unknown as SqlConnection;
  const queriesOf = (dialect: SqlConnection['dialect'], ...expectations: Parameters<typeof on<(typeof facts)['declared']>>[1]) => {
    const { work } = check(warehouse(dialect), [on(facts, expectations)]);
    if (work.kind !== 'execute' || work.request.kind !== 'check') throw new Error('no check');
    return work.request.expectations.map(({ query: { text, values } }) => [text, ...values]);
  };

  test('is asked by queries with quoted names and bound values', () => {
    expect(
      queriesOf(
        'postgres',
        notNull('total'),
        unique('id', 'day'),
        accepted('currency', ['EUR', "o'x"]),
        range('total', { min: '0', max: 9 }),
        range('currency', { max: 'z' }),
        rowCount({ min: 1, max: 5 }),
        freshness('at', '2d'),
        freshness('day', '36h'),
      ),
    ).toEqual([
      ['SELECT "id", "total" FROM "mart"."facts" WHERE "total" IS NULL'],
      [
        'SELECT "id", "day", count(*) AS copies FROM "mart"."facts" WHERE "id" IS NOT NULL AND "day" IS NOT NULL GROUP BY "id", "day" HAVING count(*) > 1',
      ],
      ['SELECT "currency", count(*) AS copies FROM "mart"."facts" WHERE "currency" NOT IN ($1, $2) GROUP BY "currency"', 'EUR', "o'x"],
      ['SELECT "id", "total" FROM "mart"."facts" WHERE "total" < $1 OR "total" > $2', '0', '9'],
      ['SELECT "id", "currency" FROM "mart"."facts" WHERE "currency" COLLATE "C" > $1', 'z'],
      ['SELECT count(*) AS row_count FROM "mart"."facts" HAVING count(*) < 1 OR count(*) > 5'],
      ['SELECT max("at") AS newest FROM "mart"."facts" HAVING max("at") IS NULL OR max("at") < now() - interval \'172800 seconds\''],
      [
        'SELECT max("day") AS newest FROM "mart"."facts" HAVING max("day") IS NULL OR max("day") < (now() AT TIME ZONE \'UTC\') - interval \'129600 seconds\'',
      ],
    ]);
    expect(queriesOf('mysql', range('total', { min: '0', max: 9 }))).toEqual([
      ['SELECT `id`, `total` FROM `mart`.`facts` WHERE `total` < ? OR `total` > ?', '0', '9'],
    ]);
    expect(queriesOf('redshift', freshness('at', '1s'))[0]![0]).toContain("getdate() - interval '1 seconds'");
  });

  test('takes queries of the author, with values of the run', () => {
    const { work, out } = check(warehouse('postgres'), [query('no orphans', 'SELECT 1 WHERE $1 > now()', { args: [run.date] }).warn()]);
    expect(out).toBe('nothing');
    expect(work).toMatchObject({
      request: { expectations: [{ name: 'no orphans', severity: 'warn', expect: 'violations', query: { values: [{ of: 'date' }] } }] },
    });
    expect(() => check(warehouse('postgres'), [notNull('id') as never])).toThrow('an expectation needs its table');
  });

  test('runs statements and procedures with bound arguments', () => {
    const after = [check(rows, [notNull('id')])];
    expect(sql(warehouse('postgres'), 'DELETE FROM t WHERE day = $1', { args: [run.date], after })).toMatchObject({
      work: {
        request: { kind: 'sql', statements: [{ text: 'DELETE FROM t WHERE day = $1', values: [{ of: 'date' }] }], transaction: true },
      },
      options: { after },
    });
    expect(sql(warehouse('postgres'), ['ANALYZE t', { text: 'SELECT $1', values: [1n] }], { transaction: false }).work).toMatchObject({
      request: { statements: [{ values: [] }, { values: [1n] }], transaction: false },
    });
    expect(call(warehouse('postgres'), 'mart.refresh', { args: [run.param('country'), 5, null] }).work).toMatchObject({
      request: { kind: 'call', procedure: 'mart.refresh', args: [{ of: 'params.country' }, 5, null] },
    });
    expect(() => sql(warehouse('postgres'), [])).toThrow('there is no statement');
    expect(() => sql(warehouse('postgres'), ' ')).toThrow('the statement is empty');
    expect(() => sql(warehouse('postgres'), ['a'], { args: [1] })).toThrow('"args" are for a single statement');
    expect(() => call(warehouse('postgres'), 'mart.')).toThrow('is not the name of a procedure');
    expect(() => call(warehouse('postgres'), 'p', { args: [2 ** 53] })).toThrow('is not exact');
    expect(() => call(warehouse('postgres'), 'p', { args: [new Date(0) as never] })).toThrow('cannot be an argument');
  });
});
