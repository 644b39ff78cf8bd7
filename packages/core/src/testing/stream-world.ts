import { type CapturedTables, type CaptureOptions, capture, load, type Pipeline, pipeline, type Step } from '../author/index.ts';
import type { StagedPart } from '../connector/index.ts';
import { compile, type PlanStage } from '../plan/index.ts';
import { type AttemptProgress, runStage, type StageJob, type StagePorts } from '../run/index.ts';
import type { StageOutput } from '../state/index.ts';
import { type MemoryCaptureOptions, memoryDatabase } from './memory-capture.ts';
import type { MemoryDatabase } from './memory-database.ts';
import { type MemoryApplyOptions, type MemoryMirror, memoryApply } from './memory-mirror.ts';
import { testSpool } from './spool.ts';

export interface StreamWorldOptions {
  readonly database: MemoryDatabase;
  readonly tables: CapturedTables;
  readonly sinks: Readonly<Record<string, { readonly mirror: MemoryMirror } & MemoryApplyOptions>>;
  readonly source?: MemoryCaptureOptions;
  readonly capture?: Partial<CaptureOptions<CapturedTables>>;
  /** Between the capture and every sink. */
  readonly through?: (changes: Step<never, 'changes'>) => Readonly<Record<string, Step>>;
}

/** A stream from memory to memory, and attempts at it. */
export interface StreamWorld {
  readonly pipeline: Pipeline;
  readonly progress: AttemptProgress[];
  readonly log: string[];
  /** Parts that attempts of this run have left for later ones. */
  parts: StagedPart[];
  attempt(job?: Partial<StageJob>, ports?: Partial<StagePorts>): Promise<StageOutput>;
  /** Until it has all that is there now. */
  catchUp(job?: Partial<StageJob>): Promise<StageOutput>;
}

let epochs = 0;

export function streamWorld(options: StreamWorldOptions): StreamWorld {
  const { database, tables, sinks } = options;
  const changes = capture(memoryDatabase(database, options.source), { tables, ...options.capture }) as Step<never, 'changes'>;
  const between = options.through?.(changes) ?? {};
  const last = (Object.values(between).at(-1) ?? changes) as Step<never, 'changes'>;
  const loads = Object.entries(sinks).map(([name, { mirror, ...rest }]) => [name, load(last, memoryApply(mirror, rest))] as const);
  const made = pipeline({ name: 'p', steps: { changes, ...between, ...Object.fromEntries(loads) } as Readonly<Record<string, Step>> });
  const stage = compile(made).stages[0] as PlanStage;
  const world: StreamWorld = {
    pipeline: made as Pipeline,
    progress: [],
    log: [],
    parts: [],
    attempt: (job = {}, ports = {}) =>
      runStage(jobOf(stage, { ...job, earlier: { plan: null, parts: world.parts } }), made as Pipeline, portsOf(world, ports)),
    catchUp: (job = {}) => world.attempt({ until: 'caught-up', ...job }),
  };
  return world;
}

function jobOf(stage: PlanStage, job: Partial<StageJob>): StageJob {
  const when = '2026-03-29T00:00:00.000Z';
  return {
    run: { id: 'r', pipeline: 'p', logicalTime: when, date: '2026-03-29', window: null, params: {} },
    runAt: when,
    fullRefresh: false,
    stage,
    epoch: ++epochs,
    redone: 0,
    files: {},
    earlier: { plan: null, parts: [] },
    concurrency: 2,
    memoryBudget: 256 * 1024 * 1024,
    ...job,
  };
}

function portsOf(world: StreamWorld, ports: Partial<StagePorts>): StagePorts {
  const log = (message: string): void => void world.log.push(message);
  return {
    signal: new AbortController().signal,
    now: () => new Date(),
    secret: async ({ name }) => name,
    spool: testSpool(),
    log: { info: log, warn: log },
    progress: (state) => void world.progress.push(state),
    storePlan: async () => {},
    storePart: async (part) => {
      world.parts = [...world.parts.filter(({ split }) => split !== part.split), part];
    },
    forgetParts: async () => {},
    ...ports,
  };
}
