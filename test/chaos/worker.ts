import { mkdir } from 'node:fs/promises';
import { mariadb } from '@millrace/connectors/mysql';
import { postgres } from '@millrace/connectors/postgres';
import { capture, continuous, int4, int8, load, pipeline, table, text, timestamptz } from '@millrace/core';
import { compile, runStage, storeFailure } from '@millrace/core/runtime';

/*
 * One attempt at following the bank, as a worker makes it: a process of its own, to be killed, stopped and started twice. It follows until
 * it is told to end, or (`until`) has caught up. Exit codes: 0 it has, 3 the next attempt may do better, 4 a person would have to act.
 */

export interface ChaosErrand {
  readonly source: string;
  readonly mirror: string;
  readonly history: string;
  readonly epoch: number;
  readonly runAt: string;
  /** For temporary files; whoever started this one takes it away. */
  readonly spool: string;
  readonly until: 'caught-up' | null;
}

const errand = JSON.parse(process.argv[2] ?? '') as ChaosErrand;
const isPostgres = errand.source.startsWith('postgres');
/** A table by its name in the source. */
const named = (name: string): string => (isPostgres ? `public.${name}` : name);
const branches = table(named('branches'), { bid: int4(), bbalance: int8(), filler: text().orNull() }, { key: ['bid'] });
const tellers = table(named('tellers'), { tid: int4(), bid: int4(), tbalance: int8(), filler: text().orNull() }, { key: ['tid'] });
const accounts = table(named('accounts'), { aid: int4(), bid: int4(), abalance: int8(), filler: text().orNull() }, { key: ['aid'] });
const history = table(
  named('history'),
  { id: int8(), tid: int4(), bid: int4(), aid: int4(), delta: int8(), mtime: timestamptz(), filler: text().orNull() },
  { key: ['id'] },
);

const tables = { branches, tellers, accounts, history };
const changes = isPostgres
  ? capture(postgres({ url: errand.source }), { tables, streaming: true })
  : capture(mariadb({ url: errand.source }), { tables });
const mirrored = load(changes, postgres({ url: errand.mirror }).apply({ schema: 'bank' }));
const logged = load(changes, postgres({ url: errand.history }).apply({ schema: 'log', mode: 'history' }));
const made = pipeline({ name: 'chaos', runs: continuous, steps: { changes, mirrored, logged } });
const [stage] = compile(made).stages;

const stop = new AbortController();
process.on('SIGTERM', () => stop.abort(new Error('told to end')));

let newest: unknown = null;
process.on('SIGUSR2', () => console.error(JSON.stringify({ newest, waitsFor: process.getActiveResourcesInfo() })));

async function main(): Promise<never> {
  let phase = '';
  try {
    await mkdir(errand.spool);
    await runStage(
      {
        run: { id: 'chaos', pipeline: 'chaos', logicalTime: errand.runAt, date: errand.runAt.slice(0, 10), window: null, params: {} },
        runAt: errand.runAt,
        fullRefresh: false,
        ...(errand.until && { until: errand.until }),
        stage: stage as NonNullable<typeof stage>,
        epoch: errand.epoch,
        redone: 0,
        files: {},
        earlier: { plan: null, parts: [] },
        concurrency: 2,
        memoryBudget: 128 * 1024 * 1024,
      },
      made,
      {
        signal: stop.signal,
        secret: () => Promise.reject(new Error('no secrets here')),
        now: () => new Date(),
        spool: errand.spool,
        log: { info: (message) => console.error(message), warn: (message) => console.error(message) },
        progress: (state) => {
          newest = state;
          if (state.phase !== phase) console.log(state.phase);
          phase = state.phase;
        },
        storePlan: async () => {},
        storePart: async () => {},
        forgetParts: async () => {},
      },
    );
    process.exit(0);
  } catch (error) {
    const failure = storeFailure(error);
    console.error(JSON.stringify(failure));
    const { codes } = await import('../../packages/core/src/error/codes.ts');
    process.exit(stop.signal.aborted || codes[failure.code as keyof typeof codes]?.retry !== 'never' ? 3 : 4);
  }
}

void main();
