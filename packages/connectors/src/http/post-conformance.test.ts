import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Target } from '@millrace/core/runtime';
import { rowSinkConformance, type SinkRow, sinkTable } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { batches, loadRows, specOf, split, testContext } from '../../test/load.ts';
import { s3 } from '../s3/index.ts';
import { http } from './index.ts';

/** A receiver as the contract wants one: what it was told under a key that it knows it does not take again. */
async function receiver() {
  const taken = new Map<string, SinkRow[]>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const key = String(request.headers['idempotency-key']);
      if (!taken.has(key)) taken.set(key, JSON.parse(Buffer.concat(chunks).toString()) as SinkRow[]);
      response.writeHead(202).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    rows: () => [...taken.values()].flat(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const there = async () => {
  const server = await receiver();
  const ledger = s3({ url: `file:${mkdtempSync(join(tmpdir(), 'millrace-ledger-'))}` });
  return {
    target: () => http({ url: server.url }).post('import', { ledger }),
    read: async () => server.rows().sort((a, b) => a.id - b.id),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
};

/** No receiver can be told to forget what it has. */
const impossible = 'a full refresh of an append replaces what is there';

describe('rows are sent as every target takes them, by a ledger and to a receiver that knows keys', () => {
  const names: string[] = [];
  rowSinkConformance(
    (name, body) => {
      names.push(name);
      if (name !== impossible) test(name, body);
    },
    there,
    { modes: [], forgetsFences: true },
  );
  test(`all of the suite but one: ${impossible}`, () => expect(names).toContain(impossible));
});

test('a load that another one has overtaken is not sent', async () => {
  await using fixture = await there();
  const target = fixture.target() as Target<never>;
  const { spec, fence, checkpoint } = specOf(target, { id: 'l1', key: 'run-1/load', splits: [], schema: sinkTable });
  await using sink = await target.open(testContext());
  await using late = await sink.begin(spec, fence);
  const part = await late.stage(split(0), batches(sinkTable, [{ id: 7, note: 'late' }]));
  await loadRows(target, { id: 'l2', key: 'run-2/load', schema: sinkTable, splits: [[{ id: 1, note: null }]] });
  await expect(late.commit([part], checkpoint)).rejects.toMatchObject({ code: 'LOAD_CONFLICT' });
  expect(await fixture.read()).toEqual([{ id: 1, note: null }]);
});
