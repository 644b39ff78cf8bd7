import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { extract, int4, load, pipeline, secret, table, text, timestamptz } from '@millrace/core';
import { renderPlan } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { apiServer } from '../../../../test/api-server.ts';
import { runPipeline } from '../../../../test/run-pipeline.ts';
import { s3 } from '../s3/index.ts';
import { bearer, cursor, http } from './index.ts';

const events = table('events', { id: int4(), at: timestamptz(), note: text().orNull() }, { key: ['id'] });
const event = (id: number) => ({ id, at: `2026-03-29T00:00:00.00000${id}Z`, note: id % 2 ? `n${id}` : null });

test('what one API lists goes to another, each row once, window after window', async () => {
  const all = [event(1), event(2), event(3)];
  const source = await apiServer({
    records: () => all.map((one) => JSON.stringify(one)),
    pageSize: 2,
    allows: ({ headers }) => headers.authorization === 'Bearer a-token-to-read',
  });
  await using _source = source;
  const receiver = await apiServer({ records: () => [], answer: (_request, response) => !!response.writeHead(202).end() });
  await using _receiver = receiver;
  const from = http({ url: source.url, auth: bearer(secret('READ_TOKEN')), retry: { delay: '1ms' } });
  const to = http({ url: receiver.url, auth: bearer(secret('SEND_TOKEN')), retry: { delay: '1ms' } });
  const listed = extract(from.rows('cursor', events, { records: 'items', pages: cursor({ param: 'cursor', from: 'meta.next' }) }), {
    since: 'at',
  });
  const sent = load(
    listed,
    to.post('events', { batchRows: 2, ledger: s3({ url: `file:${mkdtempSync(join(tmpdir(), 'millrace-sent-'))}` }) }),
  );
  const relay = pipeline({ name: 'relay', steps: { listed, sent } });

  const secrets = { READ_TOKEN: 'a-token-to-read', SEND_TOKEN: 'a-token-to-send' };
  source.fail({ kind: 'cut' }, { after: 1 });
  const { plan, outputs } = await runPipeline(relay, { secrets });
  expect(outputs['sent']).toMatchObject({ kind: 'load', receipt: { rows: 3 } });
  expect(renderPlan(plan)).toContain('at least once: a request that is repeated has the same Idempotency-Key');
  const later = { id: 4, at: new Date().toISOString().replace('Z', '000Z'), note: null };
  all.push(later);
  // A window ends with a whole second.
  await sleep(1_100);
  await runPipeline(relay, { secrets });
  await runPipeline(relay, { secrets });

  const bodies = receiver.requests.map(({ body }) => JSON.parse(body) as unknown);
  expect(bodies).toEqual([[event(1), event(2)], [event(3)], [later]]);
  expect(new Set(receiver.requests.map(({ headers }) => headers.authorization))).toEqual(new Set(['Bearer a-token-to-send']));
});
