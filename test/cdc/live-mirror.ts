import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { postgres } from '@millrace/connectors/postgres';
import {
  type CapturedTables,
  type CaptureOptions,
  capture,
  continuous,
  load,
  type Pipeline,
  pipeline,
  type Step,
  type Table,
} from '@millrace/core';
import {
  type CaptureConnection,
  type ChangeTarget,
  compile,
  MillraceError,
  type PlanStage,
  runStage,
  type StageJob,
} from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import type { TestDatabase } from '../database.ts';

/** What is followed, where it is no Postgres. It has the table of `markerTable`. */
export interface MirrorSource {
  readonly connection: CaptureConnection<never>;
  readonly tables: CapturedTables;
  /** Adds one to the number in `markerTable`, and answers it. */
  mark(): Promise<bigint>;
}

/** A target of another kind. */
export interface OtherTarget {
  apply(): ChangeTarget<unknown>;
  /** What the marker says there. */
  marker(): Promise<string | undefined>;
}

export interface MirrorOptions<Target = TestDatabase, Source = TestDatabase> {
  readonly source: Source;
  readonly target: Target;
  /** By the names they have at the source; what `declared` finds there by default. */
  readonly tables?: CapturedTables;
  readonly capture?: Partial<CaptureOptions<CapturedTables>> & Readonly<Record<string, unknown>>;
  readonly apply?: Parameters<ReturnType<typeof postgres>['apply']>[0];
  /** Between the capture and the target. */
  readonly through?: (changes: Step<never, 'changes'>) => Readonly<Record<string, Step>>;
  /** Other than those of the databases: other users, say. */
  readonly urls?: { readonly source?: string; readonly target?: string };
}

/** The table by which a mirror tells how far it has come. Every source has it: see `prepare`. */
export const markerTable = 'mirror_marker';

/** What a source needs before its tables are declared. */
export const prepare = (source: TestDatabase): Promise<unknown> =>
  source.sql(`create table ${markerTable} (id int4 primary key, n int8 not null); insert into ${markerTable} values (1, 0)`);

/** The tables of a database as `millrace introspect` would write them, by their names. */
export async function declared(database: TestDatabase): Promise<Record<string, Table>> {
  const found = await postgres({ url: database.url }).introspect(testContext(), {});
  return Object.fromEntries(found.map((table) => [table.name.replace(/^public\./, ''), table]));
}

async function markIn(source: TestDatabase): Promise<bigint> {
  const [row] = await source.sql<{ n: string }>(`update ${markerTable} set n = n + 1 returning n`);
  return BigInt(row?.n ?? 0);
}

/** A stream from one database to another, in this process, that can be stopped, and started again from where it is. */
export class LiveMirror implements AsyncDisposable {
  readonly #options: MirrorOptions<TestDatabase | OtherTarget, TestDatabase | MirrorSource>;
  readonly #folder = mkdtempSync(join(tmpdir(), 'millrace-mirror-'));
  #pipeline: Pipeline | undefined;
  #epoch = 0;
  #stop = new AbortController();
  #ended: Promise<unknown> | undefined;
  #failure: { readonly error: unknown } | undefined;
  /** The first copies are there. */
  #streams = false;

  constructor(options: MirrorOptions<TestDatabase | OtherTarget, TestDatabase | MirrorSource>) {
    this.#options = options;
  }

  /** Follows the source until it is stopped or fails. `tables`: others than before. */
  async start(tables?: CapturedTables): Promise<void> {
    const { source } = this.#options;
    if (tables || !this.#pipeline)
      this.#pipeline = this.#make(tables ?? this.#options.tables ?? ('connection' in source ? source.tables : await declared(source)));
    this.#stop = new AbortController();
    this.#failure = undefined;
    this.#streams = false;
    this.#ended = this.#run({}).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#failure = { error };
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort(new MillraceError('SHUTDOWN', { message: 'The test stops it.', remedy: '' }));
    await this.#ended;
  }

  /** Why it does not go on. */
  async failure(): Promise<unknown> {
    await this.#ended;
    return this.#failure?.error;
  }

  /** Everything that is committed at the source now is at the target. @throws what the stream ended with */
  async caughtUp(): Promise<void> {
    const { source, target, apply } = this.#options;
    const marked = 'connection' in source ? await source.mark() : await markIn(source);
    const there = `${apply?.schema ?? 'public'}.${markerTable}`;
    const marker = async (): Promise<string | undefined> =>
      'marker' in target ? target.marker() : (await target.sql<{ n: string }>(`select n from ${there}`))[0]?.n;
    const deadline = performance.now() + 20_000;
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      const seen = !this.#streams ? undefined : await marker().catch(() => undefined);
      if (seen !== undefined && BigInt(seen) >= marked) return;
      if (performance.now() > deadline) throw new Error('the mirror does not catch up');
      await sleep(10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #make(tables: CapturedTables): Pipeline {
    const { source, target, capture: options, apply, through, urls } = this.#options;
    const from = 'connection' in source ? source.connection : postgres({ url: urls?.source ?? source.url });
    const changes = capture(from as CaptureConnection<object>, { tables, ...options } as CaptureOptions<CapturedTables>);
    const between = through?.(changes as Step<never, 'changes'>) ?? {};
    const last = Object.values(between).at(-1);
    const place = 'marker' in target ? target.apply() : postgres({ url: urls?.target ?? target.url }).apply(apply ?? {});
    const mirrored = load((last ?? changes) as Step<never, 'changes'>, place);
    const steps = { changes, ...between, mirrored } as Readonly<Record<string, Step>>;
    return pipeline({ name: 'mirror', runs: continuous, steps });
  }

  async #run(job: Partial<StageJob>): Promise<void> {
    const made = this.#pipeline as Pipeline;
    const [stage] = compile(made).stages;
    const now = '2026-03-29T00:00:00.000Z';
    await runStage(
      {
        run: { id: 'test', pipeline: made.name, logicalTime: now, date: now.slice(0, 10), window: null, params: {} },
        runAt: now,
        fullRefresh: false,
        stage: stage as PlanStage,
        epoch: ++this.#epoch,
        redone: 0,
        files: {},
        earlier: { plan: null, parts: [] },
        concurrency: 2,
        memoryBudget: 128 * 1024 * 1024,
        ...job,
      },
      made,
      {
        signal: this.#stop.signal,
        secret: async ({ name }) => name,
        now: () => new Date(),
        spool: this.#folder,
        log: { info: () => {}, warn: () => {} },
        progress: ({ phase }) => {
          this.#streams ||= phase === 'streaming';
        },
        storePlan: async () => {},
        storePart: async () => {},
        forgetParts: async () => {},
      },
    );
  }
}

/** All rows of a table as text, long ones cut, sorted: the same for tables with the same rows, whatever the order of their columns. */
export async function contents(database: TestDatabase, table: string, columns?: readonly string[]): Promise<string[]> {
  const list = columns ?? (await columnsOf(database, table));
  const row = `row(${list.map((name) => `"${name}"`).join(', ')})::text`;
  const rows = await database.sql<{ row: string }>(
    `select case when length(row) > 200 then left(row, 40) || '… ' || length(row) || ' ' || md5(row) else row end as row
     from (select ${row} as row from ${table}) rows order by 1`,
  );
  return rows.map(({ row }) => row);
}

async function columnsOf(database: TestDatabase, table: string): Promise<string[]> {
  const rows = await database.sql<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped order by 1`,
    [table],
  );
  return rows.map(({ name }) => name);
}
