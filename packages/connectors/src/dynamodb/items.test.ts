import { float8, int4, numeric, table, text } from '@millrace/core';
import type { Target } from '@millrace/core/runtime';
import { rowSinkConformance, type SinkRow, sinkTable } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { AwsFault, awsFake } from '../../../../test/aws-fake.ts';
import { type DynamoServer, dynamoServer } from '../../../../test/dynamo-server.ts';
import { batches, loadRows, specOf, split, testContext } from '../../test/load.ts';
import { readAll } from '../../test/read.ts';
import { dynamodb, type ItemsOptions } from './index.ts';

const facts = table('facts', { id: int4(), note: text().orNull(), size: float8().orNull() }, { key: ['id'] });
const window = (low: string | null, high: string) => ({ column: 'id', low, high });

async function world(options: ItemsOptions = {}) {
  const server = await dynamoServer();
  await server.create('facts', { id: 'N' });
  const target = dynamodb(server.settings).items(facts, options);
  return {
    server,
    target,
    notes: async () =>
      Object.fromEntries(
        (await server.items('facts')).map(({ id, note }) => [id?.N, note?.S ?? null]).sort(([a], [b]) => Number(a) - Number(b)),
      ),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
const row = (id: number, note: string | null = `n${id}`) => ({ id, note, size: null });

describe.each<ItemsOptions>([{}, { stamp: false }])('items with %j', (options) => {
  test('are put by key, in any number, as often as one likes, and are read back', async () => {
    await using place = await world(options);
    const many = Array.from({ length: 130 }, (_, id) => row(id));
    const receipt = await loadRows(place.target, { splits: [many.slice(0, 90), many.slice(90)], parallel: true });
    expect(receipt).toMatchObject({ loadId: 'load-1', rows: 130 });
    expect(Object.keys(await place.notes()).length).toBe(130);
    expect(await loadRows(place.target, { splits: [[row(1, 'again')]], epoch: 2 })).toEqual(receipt);
    await loadRows(place.target, { id: 'load-2', epoch: 3, splits: [[row(2, null), row(1, 'first'), row(1, 'last')]] });
    expect(await place.notes()).toMatchObject({ 0: 'n0', 1: 'last', 2: null, 129: 'n129' });
    const stored = await readAll(place.target.stored!(facts));
    expect(stored.rows).toContainEqual(row(1, 'last'));
  });

  test('a window follows the one before, and its checkpoint is kept', async () => {
    await using place = await world(options);
    const load = (id: string, of: ReturnType<typeof window>) => loadRows(place.target, { id, window: of, splits: [[row(1, id)]] });
    await load('l1', window(null, '5'));
    await load('l2', window('5', '9'));
    await expect(load('l3', window('5', '7'))).rejects.toMatchObject({ code: 'CHECKPOINT_MOVED' });
    await using sink = await place.target.open(testContext());
    expect(await sink.checkpoint({ pipeline: 'nightly', step: 'facts' })).toEqual({ window: window('5', '9'), loadId: 'l2' });
    expect(await sink.checkpoint({ pipeline: 'nightly', step: 'other' })).toBeNull();
  });

  test('an attempt that was followed by another commits nothing', async () => {
    await using place = await world(options);
    await using sink = await place.target.open(testContext());
    const { spec, fence, checkpoint } = specOf(place.target, { splits: [], epoch: 1 });
    await using zombie = await sink.begin(spec, fence);
    await loadRows(place.target, { id: 'load-1', epoch: 2, splits: [[row(1, 'new')]] });
    const staged = zombie.stage(split(0), batches(facts, [row(1, 'old'), row(2, 'old')]));
    if (options.stamp === false) await expect(staged).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
    else expect((await staged).detail).toEqual({ later: 1 });
    expect((await place.notes())['1']).toBe('new');
    await expect(zombie.commit([], checkpoint)).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
    await expect(loadRows(place.target, { id: 'load-3', epoch: 1, splits: [] })).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
    const older = { id: 'load-0', key: 'run-0/load', runAt: '2026-03-28T02:00:00.000Z', splits: [[row(1, 'older')]] };
    await expect(loadRows(place.target, older)).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
  });

  test('a row that DynamoDB cannot hold is set aside, or stops the load', async () => {
    await using place = await world(options);
    const bad = { ...row(2), size: Number.NaN };
    await expect(loadRows(place.target, { splits: [[row(1), bad]] })).rejects.toMatchObject({ code: 'VALUE_UNREPRESENTABLE' });
    const rejected: unknown[] = [];
    await loadRows(place.target, { epoch: 2, splits: [[row(1), bad, row(3)]], reject: ({ ordinal }) => rejected.push(ordinal) });
    expect([rejected, Object.keys(await place.notes())]).toEqual([[1], ['1', '3']]);
  });
});

for (const stamp of [undefined, false] as const) {
  rowSinkConformance(
    (name, body) => test(`items of dynamodb${stamp === false ? ' without stamps' : ''}: ${name}`, body),
    async () => {
      const server = await dynamoServer();
      await server.create('conformance', { id: 'N' });
      return {
        target: () => dynamodb(server.settings).items(sinkTable, { ...(stamp === false && { stamp }) }) as unknown as Target,
        read: async () =>
          (await server.items('conformance')).map(({ id, note }): SinkRow => ({ id: Number(id?.N), note: note?.S ?? null })),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
    { modes: ['merge'], showsStaged: true },
  );
}

test('what DynamoDB leaves out of a batch is sent again, and so is what it asks to slow down', async () => {
  const taken: number[] = [];
  let calls = 0;
  await using fake = await awsFake({
    DescribeTable: ({ TableName }) => ({
      Table: {
        TableName,
        TableStatus: 'ACTIVE',
        KeySchema: [{ AttributeName: TableName === 'facts' ? 'id' : 'owner', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: TableName === 'facts' ? 'id' : 'owner', AttributeType: TableName === 'facts' ? 'N' : 'S' }],
      },
    }),
    UpdateItem: () => ({ Attributes: {} }),
    BatchWriteItem: ({ RequestItems: { facts: requests } }) => {
      const some = requests.slice(0, ++calls % 2 === 0 ? requests.length : 7);
      taken.push(...some.map((request: { PutRequest: { Item: { id: { N: string } } } }) => Number(request.PutRequest.Item.id.N)));
      return { UnprocessedItems: some.length < requests.length ? { facts: requests.slice(some.length) } : {} };
    },
  });
  fake.fail('BatchWriteItem', new AwsFault('ProvisionedThroughputExceededException'), 2);
  const target = dynamodb(fake.settings).items(facts, { stamp: false, concurrency: 2 });
  await loadRows(target, { splits: [Array.from({ length: 60 }, (_, id) => row(id))] });
  expect(taken.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, id) => id));
});

test('an item that is too large, and a key that is empty, are set aside by name', async () => {
  await using server = await dynamoServer();
  await server.create('notes', { name: 'S' });
  const notes = table('notes', { name: text(), body: text().orNull(), more: int4().orNull() }, { key: ['name'] });
  const target = dynamodb(server.settings).items(notes);
  const fits = 'é'.repeat(204_700);
  const rows = [
    { name: '', body: null },
    { name: 'a', body: fits },
    { name: 'b', body: `${fits}é`.repeat(2) },
    { name: 'x'.repeat(3_000), body: null },
  ];
  const rejected: string[] = [];
  const splits = [rows.map((row) => ({ ...row, more: 7 }))];
  await loadRows(target, { splits, reject: ({ ordinal, error }) => rejected.push(`${ordinal} ${error.message}`) });
  expect(rejected).toEqual([
    '0 Column "name": it is empty, which no key is.',
    expect.stringMatching(/^2 Column "body": it has 818\d+ of the 818\d+ bytes/),
    '3 Column "name": it has 3000 bytes, more than a key may have.',
  ]);
  expect((await server.items('notes')).map(({ body }) => body?.S?.length)).toEqual([fits.length]);
});

test('what cannot be loaded so is said when the pipeline is made', async () => {
  await using server: DynamoServer = await dynamoServer();
  const dynamo = dynamodb(server.settings);
  const problem = (make: () => unknown) => expect(make).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
  problem(() => dynamo.items(table('facts', { id: int4() })));
  problem(() => dynamo.items(table('facts', { id: int4(), _millrace: text() }, { key: ['id'] })));
  problem(() => dynamo.items(facts, { concurrency: 0 }));
  problem(() => dynamo.scan(facts, { segments: 0.5 }));
  expect(dynamo.items(facts).description).toMatchObject({ guarantee: 'at-least-once', promise: expect.stringContaining('_millrace') });
  await expect(loadRows(dynamo.items(table('absent', { id: numeric() }, { key: ['id'] })), { splits: [] })).rejects.toMatchObject({
    code: 'TABLE_MISSING',
  });
  expect(await dynamo.examine(testContext())).toEqual([expect.objectContaining({ level: 'ok' })]);
});
