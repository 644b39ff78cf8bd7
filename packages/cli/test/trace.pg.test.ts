import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { testDatabase } from '../../../test/postgres.ts';
import { millrace, startMillrace } from './command.ts';
import { ordersSql, ordersTable, testProject } from './project.ts';

/* An SDK in every process of a worker, by NODE_OPTIONS: spans that user code makes in the process of a stage hang under the stage's own. */

const resolve = createRequire(new URL('../../worker/package.json', import.meta.url)).resolve;
const url = (name: string) => JSON.stringify(pathToFileURL(resolve(name)).href);
const telemetry = `import { AsyncLocalStorage } from 'node:async_hooks';
import { appendFileSync } from 'node:fs';
import api from ${url('@opentelemetry/api')};
import sdk from ${url('@opentelemetry/sdk-trace-base')};
const storage = new AsyncLocalStorage();
api.context.setGlobalContextManager({
  active: () => storage.getStore() ?? api.ROOT_CONTEXT,
  with: (context, work, self, ...args) => storage.run(context, () => work.apply(self, args)),
  bind: (context, target) => target,
  enable() { return this; },
  disable() { return this; },
});
const exporter = {
  export(spans, done) {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      const facts = { pid: process.pid, name: span.name, traceId, spanId, parent: span.parentSpanContext?.spanId ?? null };
      appendFileSync(process.env.SPANS, JSON.stringify(facts) + '\\n');
    }
    done({ code: 0 });
  },
  shutdown: async () => {},
};
api.trace.setGlobalTracerProvider(new sdk.BasicTracerProvider({ spanProcessors: [new sdk.SimpleSpanProcessor(exporter)] }));
globalThis.tracer = api.trace.getTracer('ours');
`;
const traced = `import { postgres } from '@millrace/connectors/postgres';
import { extract, int8, load, numeric, pipeline, secret, table, text, timestamptz } from '@millrace/core';
import { map } from '@millrace/transforms';
import { orders } from '../tables/shop.ts';
declare const tracer: { startSpan(name: string): { end(): void } };
const shop = postgres({ url: secret('SHOP_URL') });
const copy = table('public.copy', { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() }, { key: ['id'] });
const read = extract(shop, orders);
const noted = map(read, {
  to: copy,
  row: (order) => {
    if (order.id === 1n) tracer.startSpan('the first order').end();
    return order;
  },
});
const copied = load(noted, shop.table(copy, { mode: 'replace', schema: 'create' }));
export default pipeline({ name: 'traced', steps: { read, noted, copied } });
`;

interface Span {
  readonly pid: number;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: string | null;
}

test('a span of user code in the process of a stage is a child of the span of the stage', async () => {
  await using database = await testDatabase();
  await database.sql(ordersSql);
  using project = testProject({
    'millrace.config.ts': `import { defineConfig, secret } from '@millrace/core';
export default defineConfig({ pipelines: 'pipelines/*.ts', environments: { prod: { secrets: ['env'], state: secret('SHOP_URL'), executor: 'fleet' } } });
`,
    'pipelines/traced.ts': traced,
    'tables/shop.ts': ordersTable,
    'telemetry.mjs': telemetry,
    'spans.jsonl': '',
  });
  const spans = (): Span[] =>
    readFileSync(join(project.root, 'spans.jsonl'), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Span);
  const env = { SHOP_URL: database.url };
  const worker = startMillrace(['worker', '--json'], {
    cwd: project.root,
    env: {
      ...env,
      SPANS: join(project.root, 'spans.jsonl'),
      NODE_OPTIONS: `--conditions=millrace-bundled --import=${pathToFileURL(join(project.root, 'telemetry.mjs')).href}`,
    },
  });
  try {
    await worker.said('"type":"working"');
    expect(await millrace(['run', 'traced'], { cwd: project.root, env })).toMatchObject({ code: 0 });
    await expect.poll(() => spans().map(({ name }) => name)).toContain('run traced');
    const stage = spans().find(({ name }) => name === 'stage traced copied');
    const own = spans().find(({ name }) => name === 'the first order');
    expect(stage).toMatchObject({ parent: null, pid: worker.process.pid });
    expect(own).toMatchObject({ traceId: stage?.traceId, parent: stage?.spanId });
    expect(own?.pid).not.toBe(worker.process.pid);
  } finally {
    process.kill(-(worker.process.pid as number), 'SIGKILL');
    await worker.ended;
  }
});
