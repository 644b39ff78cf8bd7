import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ExecuteRequest,
  pipeline as makePipeline,
  type OnBadRow,
  type Output,
  type Pipeline,
  type RejectedRecord,
  type Step,
  step,
} from '../author/index.ts';
import { rowsOf } from '../batch/index.ts';
import type { CheckResult, FilesRef, Json, RunFacts, SqlStatement, Transform } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import { compile, type PlanStage } from '../plan/index.ts';
import { runStage } from '../run/index.ts';
import { bind, bindArgument, bindParameters } from '../run/run-value.ts';
import type { StageOutput } from '../state/index.ts';
import { dedupeRows } from './dedupe-rows.ts';
import { memorySelection } from './memory-source.ts';
import { type MemoryTable, memoryTable, memoryTarget } from './memory-target.ts';

type Steps = Readonly<Record<string, Step>>;
type StepRow<S> = S extends Step<infer Row, Output> ? Row : never;
/** Steps that hand on rows, or files or a table with such rows. */
type WithRows<S extends Steps> = { [Name in keyof S]: S[Name] extends Step<unknown, 'nothing'> ? never : Name }[keyof S] & string;

export interface RunLocalOptions<S extends Steps> {
  /** The rows that extracts give, by step. An extract that is left out gives none. */
  readonly given: { readonly [Name in WithRows<S>]?: readonly StepRow<S[Name]>[] };
  readonly params?: Readonly<Record<string, string>>;
  /** `2026-03-29`; today by default. */
  readonly date?: string;
  readonly window?: { readonly start: string; readonly end: string };
  /** By name; a secret that is left out is its own name. */
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface LocalResult<S extends Steps> {
  /** What came out of an extract or a transform, or was loaded by a load. */
  rows<Name extends WithRows<S>>(step: Name): StepRow<S[Name]>[];
  /** Rows that the step has set aside. */
  rejected(step: keyof S & string): RejectedRecord[];
  /** What the checks of the pipeline have found, in order. */
  readonly checks: readonly CheckResult[];
  /** SQL and procedures that would have been run, with the values of this run. */
  readonly executed: readonly {
    readonly step: string;
    readonly kind: ExecuteRequest['kind'];
    readonly statements: readonly SqlStatement[];
  }[];
  /** Work that services would have been asked to do, with the values of this run. */
  readonly remote: readonly {
    readonly step: string;
    readonly service: string;
    readonly action: string;
    readonly parameters: Readonly<Record<string, Json>>;
  }[];
}

/**
 * Runs a pipeline in memory: given rows stand for its extracts, every load is recorded, SQL and work of services are recorded and not run. Transforms,
 * checks and quarantines are the real ones, on the same path as anywhere else.
 *
 * @throws what the pipeline would fail with: FUNCTION_FAILED, CHECK_FAILED, TOO_MANY_BAD_ROWS, PIPELINE_INVALID, …
 */
export async function runLocal<const S extends Steps>(pipeline: Pipeline<S>, options: RunLocalOptions<S>): Promise<LocalResult<S>> {
  compile(pipeline);
  const given = options.given as Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;
  const record = new Recording();
  const local = inMemory(pipeline, given, record);
  const plan = compile(local);
  const run = factsOf(pipeline, options);
  const spool = mkdtempSync(join(tmpdir(), 'millrace-local-'));
  const files: Record<string, FilesRef> = {};
  const outputs: StageOutput[] = [];
  try {
    for (const stage of plan.stages) {
      const work = local.steps[stage.id]?.work;
      if (work?.kind === 'execute') {
        record.execute(stage.id, work.request, run);
        continue;
      }
      if (work?.kind === 'remote') {
        const { service, action } = work.task.description;
        record.remote.push({ step: stage.id, service, action, parameters: bindParameters(work.parameters, run) });
        continue;
      }
      const output = await runStage(jobOf(stage, run, files), local, {
        signal: new AbortController().signal,
        now: () => new Date(),
        secret: async ({ name }) => options.secrets?.[name] ?? name,
        spool: mkdtempSync(join(spool, 'stage-')),
        log: { info: () => {}, warn: () => {} },
        progress: () => {},
        storePlan: async () => {},
        storePart: async () => {},
        forgetParts: async () => {},
      });
      outputs.push(output);
      if (output.kind === 'load' && output.receipt.files) files[stage.id] = output.receipt.files;
    }
  } finally {
    rmSync(spool, { recursive: true, force: true });
  }
  return {
    rows: (name) => record.rowsOf(name) as never,
    rejected: (name) => (record.quarantine(name).rows as unknown as RejectedRecord[]).filter(({ step: at }) => at === name),
    checks: outputs.flatMap((output) => (output.kind === 'remote' ? [] : output.checks)),
    executed: record.executed,
    remote: record.remote,
  };
}

/** What has happened, step by step. */
class Recording {
  readonly executed: LocalResult<Steps>['executed'][number][] = [];
  readonly remote: LocalResult<Steps>['remote'][number][] = [];
  readonly #rows = new Map<string, Record<string, unknown>[]>();
  readonly #tables = new Map<string, MemoryTable>();

  table(name: string): MemoryTable {
    const known = this.#tables.get(name);
    if (known) return known;
    const made = memoryTable();
    this.#tables.set(name, made);
    return made;
  }

  quarantine(name: string): MemoryTable {
    return this.table(`${name} rejected`);
  }

  see(name: string, rows: readonly Record<string, unknown>[]): void {
    this.#rows.set(name, [...(this.#rows.get(name) ?? []), ...rows]);
  }

  rowsOf(name: string): Record<string, unknown>[] {
    return [...(this.#rows.get(name) ?? this.table(name).rows)];
  }

  execute(name: string, request: ExecuteRequest, run: RunFacts): void {
    this.executed.push({ step: name, kind: request.kind, statements: statementsOf(request, run) });
  }
}

function statementsOf(request: ExecuteRequest, run: RunFacts): SqlStatement[] {
  switch (request.kind) {
    case 'sql':
      return request.statements.map((statement) => bind(statement, run));
    case 'call':
      return [{ text: `CALL ${request.procedure}`, values: request.args.map((value) => bindArgument(value, run)) }];
    case 'check':
      return request.expectations.map(({ query }) => bind(query, run));
    case 'task':
      return []; // which statements they are, only the database knows
    default:
      return request satisfies never;
  }
}

/** The same pipeline with memory at its ends. A step that is read twice is recorded at its first reader. */
function inMemory(
  pipeline: Pipeline,
  given: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>,
  record: Recording,
): Pipeline {
  const names = new Map(Object.entries(pipeline.steps).map(([name, one]) => [one, name]));
  const made = new Map<Step, Step>();
  const recorded = new Set<string>();
  const local = (one: Step): Step => {
    const known = made.get(one);
    if (known) return known;
    const name = names.get(one) as string;
    const input = one.input && local(one.input);
    const after = (one.options.after ?? []).map(local);
    const fresh = step(one.out, { input, schema: one.schema, options: { ...one.options, after }, work: workInMemory(one, name) });
    made.set(one, fresh);
    return fresh;
  };
  const workInMemory = ({ work, input }: Step, name: string): Step['work'] => {
    switch (work.kind) {
      case 'extract': {
        const { schema, description } = work.selection;
        const rows = given[name] ?? [];
        if (!recorded.has(name)) record.see(name, rows);
        recorded.add(name);
        return {
          kind: 'extract',
          selection: memorySelection({ schema, rows: () => rows, object: description.object }),
          since: null,
          splitBytes: null,
        };
      }
      case 'transform':
        return {
          kind: 'transform',
          transform: recording(work.transform, name, record),
          onBadRow: quarantined(work.onBadRow, name, record),
        };
      case 'load': {
        const { takes, leaves, schema, description } = work.target;
        const table = record.table(name);
        const before = input && names.get(input);
        const target = memoryTarget(table, {
          mode: 'append',
          schema,
          takes,
          leaves,
          object: description.object,
          filesOf: () => record.rowsOf(before ?? ''),
        });
        return { kind: 'load', target, onBadRow: quarantined(work.onBadRow, name, record) };
      }
      case 'execute':
      case 'remote':
        return work;
      case 'capture':
      case 'transform-changes':
      case 'load-changes':
        throw new MillraceError('UNSUPPORTED', {
          message: `runLocal: "${name}" belongs to a stream of changes, which has no end.`,
          remedy: 'Test its functions as functions, and the pipeline with "millrace run --until caught-up" against an embedded Postgres.',
        });
      default:
        return work satisfies never;
    }
  };
  for (const name of Object.keys(given)) {
    if (pipeline.steps[name]?.work.kind === 'extract') continue;
    throw new MillraceError('CONFIG_INVALID', {
      message: `given: "${name}" is not an extract of the pipeline.`,
      remedy: 'Give rows to the extracts; everything else is computed.',
    });
  }
  return makePipeline({
    name: pipeline.name,
    runs: pipeline.runs,
    params: pipeline.params,
    steps: Object.fromEntries(Object.entries(pipeline.steps).map(([name, one]) => [name, local(one)])),
  });
}

/** The transform, with its rows written down once, however many loads read them. */
function recording(transform: Transform, name: string, record: Recording): Transform {
  const { relational } = transform;
  const real = transform.wholeInput && relational?.op === 'dedupe' ? dedupeRows(transform, relational) : transform;
  let first = true;
  return {
    ...real,
    async start(input, context) {
      const run = await real.start(input, context);
      const see = first;
      first = false;
      if (!see) return run;
      record.see(name, []);
      return {
        finish: () => run.finish(),
        split(id) {
          const part = run.split(id);
          return {
            async apply(batch) {
              const out = await part.apply(batch);
              record.see(name, rowsOf(out));
              return out;
            },
          };
        },
      };
    },
  };
}

function quarantined(rule: OnBadRow, name: string, record: Recording): OnBadRow {
  return rule === 'fail' ? rule : { ...rule, quarantine: memoryTarget(record.quarantine(name)) as never };
}

function factsOf(
  pipeline: Pipeline,
  {
    params = {},
    date = new Date().toISOString().slice(0, 10),
    window,
  }: { params?: Readonly<Record<string, string>>; date?: string; window?: RunFacts['window'] & object },
): RunFacts {
  const values = Object.fromEntries(
    Object.entries({ ...pipeline.params, ...params }).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
  );
  return { id: 'local', pipeline: pipeline.name, logicalTime: `${date}T00:00:00.000Z`, date, window: window ?? null, params: values };
}

function jobOf(stage: PlanStage, run: RunFacts, files: Readonly<Record<string, FilesRef>>) {
  const earlier = { plan: null, parts: [] };
  return {
    run,
    runAt: run.logicalTime,
    fullRefresh: false,
    stage,
    epoch: 1,
    redone: 0,
    files,
    earlier,
    concurrency: 1,
    memoryBudget: 64 * 1024 * 1024,
  };
}
