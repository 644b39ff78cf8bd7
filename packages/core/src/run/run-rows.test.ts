import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { extract, type LoadOptions, load, type OnBadRow, type Pipeline, pipeline, type Step, step } from '../author/index.ts';
import { rowsOf, takeRows } from '../batch/index.ts';
import type { CheckResult, StagedPart, Target, Transform } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import { compile, type PlanStage } from '../plan/index.ts';
import { int4, table, text } from '../schema/index.ts';
import type { StageOutput } from '../state/index.ts';
import { memorySelection, type Rows } from '../testing/memory-source.ts';
import { type MemoryTable, memoryTable, memoryTarget } from '../testing/memory-target.ts';
import { runStage } from './run-stage.ts';
import type { AttemptProgress, StageJob, StagePorts } from './stage-job.ts';

const orders = table('orders', { id: int4(), note: text() }, { key: ['id'] });
const rowsTo = (count: number): Rows => Array.from({ length: count }, (_, i) => ({ id: i + 1, note: `n${i + 1}` }));

interface Given {
  rows?: Rows | (() => Rows);
  splitRows?: number;
  since?: 'id';
  transform?: Partial<Transform>;
  onBadRow?: (quarantine: Target) => OnBadRow;
  target?: (table: MemoryTable) => Target;
  options?: LoadOptions;
}

/** A pipeline from memory to memory, and attempts at its one stage. */
function world({
  rows = rowsTo(10),
  splitRows = 4,
  since,
  transform,
  onBadRow,
  target = (to) => memoryTarget(to),
  options = {},
}: Given = {}) {
  const to = memoryTable();
  const bad = memoryTable();
  const all = typeof rows === 'function' ? rows : () => rows;
  const source = memorySelection<{ id: number; note: string }>({ schema: orders, rows: all, splitRows, batchRows: 2 });
  const read = extract(source, since ? { since } : {});
  const rule = onBadRow?.(memoryTarget(bad)) ?? 'fail';
  const facts: Step<{ id: number; note: string }, 'rows'> | undefined =
    transform &&
    step('rows', {
      input: read,
      schema: orders,
      options: {},
      work: { kind: 'transform', transform: transformOf(transform), onBadRow: rule },
    });
  const loaded = load((facts ?? read) as Step<never, 'rows'>, target(to) as Target<never, 'rows', 'table'>, {
    ...options,
    ...(!facts && { onBadRow: rule }),
  }) as Step;
  const made = pipeline({ name: 'p', steps: { read, ...(facts && { facts }), loaded } as Readonly<Record<string, Step>> });
  const stage = compile(made).stages[0] as PlanStage;
  const kept = { plan: null as never, parts: [] as StagedPart[], log: [] as string[], progress: [] as AttemptProgress[] };
  let epoch = 0;
  return {
    to,
    bad,
    kept,
    stage,
    attempt(job: Partial<StageJob> = {}, ports: Partial<StagePorts> = {}): Promise<StageOutput> {
      return run(made, { ...jobOf(stage, ++epoch), ...job }, kept, ports);
    },
  };
}

function transformOf(parts: Partial<Transform>): Transform {
  return {
    name: 'test',
    description: {},
    lane: 'columns',
    output: (input) => input,
    start: async () => ({ split: () => ({ apply: (batch) => batch }), finish: async () => [] }),
    ...parts,
  };
}

function jobOf(stage: PlanStage, epoch: number): StageJob {
  const run = { id: 'r1', pipeline: 'p', logicalTime: '2026-03-29T00:00:00.000Z', date: '2026-03-29', window: null, params: {} };
  const rest = { runAt: '2026-03-29T00:00:00.000Z', fullRefresh: false, redone: 0, files: {}, earlier: { plan: null, parts: [] } };
  return { run, stage, epoch, ...rest, concurrency: 2, memoryBudget: 256 * 1024 * 1024 };
}

function run(
  made: Pipeline,
  job: StageJob,
  kept: { plan: unknown; parts: StagedPart[]; log: string[]; progress: AttemptProgress[] },
  ports: Partial<StagePorts>,
): Promise<StageOutput> {
  return runStage(job, made, {
    signal: new AbortController().signal,
    now: () => new Date('2026-03-29T12:00:00.000Z'),
    secret: async ({ name }) => name,
    spool: mkdtempSync(join(tmpdir(), 'millrace-test-')),
    log: { info: (line) => kept.log.push(line), warn: (line) => kept.log.push(`! ${line}`) },
    progress: (progress) => kept.progress.push(progress),
    storePlan: async (plan) => {
      kept.plan = plan;
    },
    storePart: async (part) => void kept.parts.push(part),
    forgetParts: async () => void kept.parts.splice(0),
    ...ports,
  });
}

/** Rejects rows whose number is a multiple of three. */
const rejectThirds: Partial<Transform> = {
  start: async (_, context) => ({
    split: (split) => ({
      apply(batch) {
        const kept: number[] = [];
        for (const [i, row] of rowsOf(batch).entries()) {
          if (Number(row['id']) % 3 !== 0) kept.push(i);
          else context.reject({ split, ordinal: i, row: JSON.stringify(row), error: new Error('a third') });
        }
        return takeRows(batch, Int32Array.from(kept));
      },
    }),
    finish: async () => [],
  }),
};

const checking = (result: Partial<CheckResult>): Partial<Transform> => ({
  start: async () => ({
    split: () => ({ apply: (batch) => batch }),
    finish: async () => [{ check: 'few rows', severity: 'fail', passed: false, found: '10 rows', sample: ['1'], ...result }],
  }),
});

const ids = (to: MemoryTable): unknown[] => to.rows.map((row) => row['id']).sort((a, b) => Number(a) - Number(b));

describe('rows', () => {
  it('are staged split by split and committed once', async () => {
    const { attempt, to, kept } = world();
    const output = await attempt();
    expect(output).toMatchObject({ kind: 'load', alreadyApplied: false, splits: 3, receipt: { rows: 10 } });
    expect(ids(to)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(kept.parts).toHaveLength(3);
    expect(kept.progress.at(-1)).toMatchObject({ phase: 'done', rows: 10, splits: { done: 3, total: 3 }, estimate: { rows: 10 } });
  });

  it('have their plan stored before the first is read', async () => {
    const { attempt, to } = world();
    const storePlan = () => Promise.reject(new MillraceError('LEASE_LOST', { message: 'gone', remedy: 'none' }));
    await expect(attempt({}, { storePlan })).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(to.staged.size + to.rows.length).toBe(0);
  });

  it('are not loaded twice when an attempt dies between its commit and its report', async () => {
    const { attempt, to } = world();
    await attempt();
    const output = await attempt();
    expect(output).toMatchObject({ alreadyApplied: true, receipt: { rows: 10 } });
    expect(to.rows).toHaveLength(10);
  });

  it('of no rows at all are a load as well', async () => {
    const { attempt } = world({ rows: [] });
    expect(await attempt()).toMatchObject({ splits: 0, receipt: { rows: 0 } });
  });

  it('leave nothing behind when a function throws, and the error names step, split and cause', async () => {
    const cause = new TypeError('cannot read properties of undefined');
    const { attempt, to, kept } = world({
      transform: {
        start: async () => ({
          split: () => ({
            apply() {
              throw cause;
            },
          }),
          finish: async () => [],
        }),
      },
    });
    const failure = attempt();
    await expect(failure).rejects.toMatchObject({
      code: 'FUNCTION_FAILED',
      facts: { step: 'facts', split: expect.stringMatching(/^rows-/) },
      cause,
    });
    await expect(failure).rejects.toThrow('Step "facts"');
    expect(to.rows.length + to.staged.size + kept.parts.length).toBe(0);
  });

  it('of splits that an attempt has staged before it died are not read again', async () => {
    const { attempt, to, kept } = world();
    const stop = new AbortController();
    const shutdown = new MillraceError('SHUTDOWN', { message: 'ends', remedy: 'none' });
    const storePart = async (part: StagedPart): Promise<void> => {
      kept.parts.push(part);
      stop.abort(shutdown);
    };
    await expect(attempt({ concurrency: 1 }, { storePart, signal: stop.signal })).rejects.toBe(shutdown);
    expect(kept.parts).toHaveLength(1);
    expect(await attempt({ earlier: { plan: kept.plan, parts: [...kept.parts] } })).toMatchObject({ splits: 3 });
    expect(ids(to)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(kept.log).toContain('1 of 1 splits were staged by an earlier attempt and are used');
  });
});

describe('incremental rows', () => {
  it('begin where the last load has ended', async () => {
    let rows = rowsTo(5);
    const { attempt, to } = world({ rows: () => rows, since: 'id' });
    await attempt();
    rows = rowsTo(8);
    const output = await attempt({ run: { ...jobOf({} as PlanStage, 1).run, id: 'r2' } });
    expect(output).toMatchObject({ receipt: { rows: 3 } });
    expect(ids(to)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('keep the window of an earlier attempt, whatever has come since', async () => {
    let rows = rowsTo(5);
    const { attempt, to, kept } = world({ rows: () => rows, since: 'id' });
    await attempt({}, { storePart: () => Promise.reject(new Error('dies')) }).catch(() => {});
    rows = rowsTo(8);
    await attempt({ earlier: { plan: kept.plan, parts: [] } });
    expect(ids(to)).toEqual([1, 2, 3, 4, 5]);
  });

  it('are read from the beginning on a full refresh, which replaces what was appended', async () => {
    const { attempt, to } = world({ since: 'id' });
    await attempt();
    const output = await attempt({ fullRefresh: true, run: { ...jobOf({} as PlanStage, 1).run, id: 'r2' } });
    expect(output).toMatchObject({ receipt: { rows: 10 } });
    expect(to.rows).toHaveLength(10);
  });

  it('are not loaded by an older run when a newer one has been there', async () => {
    let rows = rowsTo(3);
    const { attempt, kept } = world({ rows: () => rows, since: 'id' });
    await attempt({}, { storePart: () => Promise.reject(new Error('dies')) }).catch(() => {});
    const older = kept.plan;
    rows = rowsTo(8);
    await attempt({ run: { ...jobOf({} as PlanStage, 1).run, id: 'r2' } });
    await expect(attempt({ earlier: { plan: older, parts: [] } })).rejects.toMatchObject({ code: 'CHECKPOINT_MOVED' });
  });
});

describe('bad rows', () => {
  it('stop the load where nothing else is said', async () => {
    const { attempt, to } = world({ transform: rejectThirds });
    await expect(attempt()).rejects.toMatchObject({
      code: 'FUNCTION_FAILED',
      facts: { step: 'facts', row: expect.stringMatching(/"id":[369],/) },
    });
    expect(to.rows).toHaveLength(0);
  });

  it('go to the quarantine under the name of their load, and the others are loaded', async () => {
    const { attempt, to, bad } = world({ transform: rejectThirds, onBadRow: (quarantine) => ({ quarantine: quarantine as never }) });
    const output = await attempt();
    expect(output).toMatchObject({ rejected: { facts: 3 }, receipt: { rows: 7 } });
    expect(ids(to)).toEqual([1, 2, 4, 5, 7, 8, 10]);
    const loadId = (output as Extract<StageOutput, { kind: 'load' }>).receipt.loadId;
    expect([...bad.applied.keys()]).toEqual([`${loadId}.rejected`]);
    expect(bad.rows[0]).toMatchObject({
      load_id: loadId,
      pipeline: 'p',
      step: 'facts',
      code: 'FUNCTION_FAILED',
      reason: 'a third',
      rejected_at: '2026-03-29T12:00:00.000000Z',
    });
  });

  it('are set aside once, though an attempt dies between the two commits', async () => {
    const { attempt, to, bad } = world({
      transform: rejectThirds,
      onBadRow: (quarantine) => ({ quarantine: quarantine as never }),
      target: (table) => failingCommit(memoryTarget(table), 1),
    });
    await expect(attempt()).rejects.toThrow('no commit');
    expect(bad.rows).toHaveLength(3);
    await attempt();
    expect(bad.rows).toHaveLength(3);
    expect(to.rows).toHaveLength(7);
  });

  it.each([
    ['more than max', { max: 2 }],
    ['a greater share than maxRate', { maxRate: 0.2 }],
  ])('that are %s stop the load and can still be looked at', async (_, limit) => {
    const { attempt, to, bad } = world({
      transform: rejectThirds,
      onBadRow: (quarantine) => ({ quarantine: quarantine as never, ...limit }),
    });
    await expect(attempt()).rejects.toMatchObject({ code: 'TOO_MANY_BAD_ROWS' });
    expect(to.rows).toHaveLength(0);
    expect(bad.rows.length).toBeGreaterThan(0);
  });

  it('may be refused by the target as well', async () => {
    const { attempt, bad, to } = world({
      target: (table) => refusing(memoryTarget(table)),
      onBadRow: (quarantine) => ({ quarantine: quarantine as never }),
    });
    expect(await attempt()).toMatchObject({ rejected: { loaded: 3 } });
    expect(bad.rows).toHaveLength(3);
    expect(to.rows).toHaveLength(10);
  });
});

describe('checks', () => {
  it('of severity fail let nothing through', async () => {
    const { attempt, to } = world({ transform: checking({}) });
    await expect(attempt()).rejects.toMatchObject({ code: 'CHECK_FAILED', message: expect.stringContaining('few rows') });
    expect(to.rows).toHaveLength(0);
  });

  it('of severity warn are told and recorded', async () => {
    const { attempt, to, kept } = world({ transform: checking({ severity: 'warn' }) });
    expect(await attempt()).toMatchObject({ checks: [{ check: 'few rows', passed: false }] });
    expect(to.rows).toHaveLength(10);
    expect(kept.log).toContain('! check "few rows" does not hold: 10 rows');
  });
});

describe('an attempt that is stopped', () => {
  const slow: Partial<Transform> = {
    start: async () => ({ split: () => ({ apply: (batch) => sleep(30).then(() => batch) }), finish: async () => [] }),
  };

  it('by its timeout says so and leaves nothing', async () => {
    const { attempt, to } = world({ transform: slow, options: { timeout: '20ms' } });
    await expect(attempt()).rejects.toMatchObject({ code: 'STAGE_TIMEOUT' });
    expect(to.staged.size + to.rows.length).toBe(0);
  });

  it('from outside rejects with the reason', async () => {
    const { attempt, to } = world({ transform: slow });
    const stop = new AbortController();
    const reason = new MillraceError('RUN_CANCELLED', { message: 'cancelled', remedy: 'none' });
    setTimeout(() => stop.abort(reason), 20);
    await expect(attempt({}, { signal: stop.signal })).rejects.toBe(reason);
    expect(to.staged.size + to.rows.length).toBe(0);
  });

  it('is stopped though its function never gives way', async () => {
    const busy: Partial<Transform> = {
      start: async () => ({ split: () => ({ apply: (batch) => spin(batch, 60) }), finish: async () => [] }),
    };
    const { attempt } = world({ transform: busy, rows: rowsTo(40), options: { timeout: '50ms' } });
    await expect(attempt()).rejects.toMatchObject({ code: 'STAGE_TIMEOUT' });
  });

  it('refuses to begin where it was stopped before', async () => {
    const reason = new MillraceError('SHUTDOWN', { message: 'ends', remedy: 'none' });
    await expect(world().attempt({}, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('keeps what it has staged when it is to go on elsewhere', async () => {
    const { attempt, to, kept } = world({ transform: slow });
    const stop = new AbortController();
    setTimeout(() => stop.abort(new MillraceError('SHUTDOWN', { message: 'ends', remedy: 'none' })), 130);
    await attempt({ concurrency: 1 }, { signal: stop.signal }).catch(() => {});
    expect(to.staged.size).toBe(kept.parts.length);
    expect(kept.parts.length).toBeGreaterThan(0);
  });
});

it('an older attempt is refused by the target', async () => {
  const { attempt } = world();
  await attempt({ epoch: 5, run: { ...jobOf({} as PlanStage, 1).run } }, { storePart: () => Promise.reject(new Error('dies')) }).catch(
    () => {},
  );
  await expect(attempt({ epoch: 4 })).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
});

function spin<T>(value: T, ms: number): T {
  const end = performance.now() + ms;
  while (performance.now() < end);
  return value;
}

/** A target whose first commits fail as if the process had died before them. */
function failingCommit(target: Target, times: number): Target {
  let left = times;
  return {
    ...target,
    async open(context) {
      const sink = await target.open(context);
      return {
        ...sink,
        checkpoint: (owner) => sink.checkpoint(owner),
        [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
        async begin(spec, fence) {
          const session = await sink.begin(spec, fence);
          const commit: typeof session.commit = (parts, checkpoint) =>
            left-- > 0 ? Promise.reject(new Error('no commit')) : session.commit(parts, checkpoint);
          return { ...session, commit, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() };
        },
      };
    },
  };
}

/** A target that refuses one row of each split. */
function refusing(target: Target): Target {
  return {
    ...target,
    async open(context) {
      const sink = await target.open(context);
      return {
        ...sink,
        [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
        async begin(spec, fence) {
          const session = await sink.begin(spec, fence);
          const stage: typeof session.stage = (split, channel) => {
            spec.reject?.({
              split: split.id,
              ordinal: 0,
              row: '{}',
              error: new MillraceError('TYPE_MISMATCH', { message: 'too long', remedy: 'cut' }),
            });
            return session.stage(split, channel);
          };
          return { ...session, stage, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() };
        },
      };
    },
  };
}
