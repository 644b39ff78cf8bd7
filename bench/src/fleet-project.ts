import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Pipelines of stages that do nothing, and the project that a fleet's workers load them from. */

/** Milliseconds after which a worker that cannot be heard of has lost its stages. */
export const leaseMs = 10_000;

/** Stages of the chain, as the target names it. */
export const chainLength = 40;
/** Stages that one stage waits for. */
export const fanIn = 1_000;
/** Stages side by side, in the whole fleet. */
export const parallel = 16;

/**
 * What a stage does that does nothing: a connection of an `execute` step that answers at once. All of the engine is on its way: outbox,
 * wake-up, claim with its lease, the hand-over to a stage's process and back, the report. What is left out is what a stage is there for:
 * connecting to a database and working in it. `slow` waits at its first attempt only, so that a worker can be killed meanwhile.
 */
const nothing = `import { setTimeout as sleep } from 'node:timers/promises';
import type { SqlConnection } from '@millrace/core/runtime';

const done = { alreadyDone: false, rowsAffected: [], notices: [] };

function connection(label: string, work: (epoch: number) => Promise<unknown>): SqlConnection {
  return {
    kind: 'connection', connector: 'nothing', label, dialect: 'postgres', examine: async () => [],
    sql: () => ({ execute: async ({ fence }) => (await work(fence.epoch), done), query: async () => [] }),
  };
}

export const nothing = connection('nothing', async () => {});
export const brief = connection('brief', () => sleep(50));
export const slow = connection('slow', (epoch) => (epoch === 1 ? sleep(120_000) : Promise.resolve()));
`;

const start = `import { pipeline } from '@millrace/core';
import { sql } from '@millrace/transforms';
import { brief, nothing, slow } from '../nothing.ts';
`;

/** Each step waits for the one before it. */
const chain = `${start}
const steps = {};
let before = [];
for (let at = 1; at <= ${chainLength}; at++) {
  const step = sql(nothing, 'nothing', { after: before });
  steps['s' + at] = step;
  before = [step];
}
export default pipeline({ name: 'chain', concurrency: ${parallel}, steps });
`;

/** Steps that wait for nothing, and one that waits for all of them. */
const wide = (name: string, count: number, connection: string): string => `${start}
const steps = {};
for (let at = 1; at <= ${count}; at++) steps['s' + at] = sql(${connection}, 'nothing');
export default pipeline({ name: '${name}', steps: { ...steps, joined: sql(nothing, 'nothing', { after: Object.values(steps) }) } });
`;

const alone = `${start}
export default pipeline({ name: 'slow', steps: { only: sql(slow, 'nothing') } });
`;

/** Of the burst that loses its wake-ups. */
export const burst = 200;

const config = `import { defineConfig, secret } from '@millrace/core';
export default defineConfig({
  pipelines: 'pipelines/*.ts',
  environments: {
    prod: {
      secrets: ['env'], state: secret('STATE_URL'), executor: 'fleet',
      fleet: { lease: '${leaseMs / 1000}s', dispatch: { redis: secret('REDIS_URL') } },
    },
  },
});
`;

export interface FleetProject extends Disposable {
  readonly root: string;
  fileOf(pipeline: string): string;
}

/** Inside this package, so that imports of `@millrace/…` are found. */
export function fleetProject(): FleetProject {
  const base = path.resolve(import.meta.dirname, '../.millrace');
  mkdirSync(base, { recursive: true });
  const root = mkdtempSync(path.join(base, 'fleet-'));
  mkdirSync(path.join(root, 'pipelines'));
  const files = {
    'package.json': '{ "type": "module" }',
    'millrace.config.ts': config,
    'nothing.ts': nothing,
    'pipelines/chain.ts': chain,
    'pipelines/wide.ts': wide('wide', fanIn, 'nothing'),
    'pipelines/burst.ts': wide('burst', burst, 'brief'),
    'pipelines/slow.ts': alone,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(root, name), text);
  return {
    root,
    fileOf: (pipeline) => path.join(root, 'pipelines', `${pipeline}.ts`),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 }),
  };
}
