import type { Pipeline } from '../author/index.ts';
import type { Context } from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { StageOutput } from '../state/index.ts';
import { runChanges } from './changes/run-changes.ts';
import { passing } from './failpoints.ts';
import { helpRows } from './help-rows.ts';
import { manyListeners } from './many-listeners.ts';
import { Meter } from './meter.ts';
import { runExecute } from './run-execute.ts';
import { runFiles } from './run-files.ts';
import { type Begun, beginRemote, type Looked, type LookJob, lookRemote, runRemote } from './run-remote.ts';
import { runRows } from './run-rows.ts';
import type { StageJob, StagePorts } from './stage-job.ts';

/**
 * One attempt at a stage, whoever executes it. Answers what the stage did; rejects with why it did not, after everything that
 * was staged has been thrown away and every connection closed.
 *
 * @throws STAGE_TIMEOUT, and the signal's reason where that aborts
 */
export function runStage(job: StageJob, pipeline: Pipeline, ports: StagePorts): Promise<StageOutput> {
  return attempted(job, ports, async (context, meter) => {
    passing('engine.stage.started');
    return work(job, pipeline, ports, context, meter);
  });
}

/** As `runStage`, of a remote stage, but only until its work goes on elsewhere. */
export function beginStage(job: StageJob, pipeline: Pipeline, ports: StagePorts): Promise<Begun> {
  return attempted(job, ports, async (context, meter) => {
    passing('engine.stage.started');
    return beginRemote(job, pipeline, ports, context, meter);
  });
}

/** One look at what goes on elsewhere. Its own time is short; the stage's timeout is for whoever asks it to end. */
export function lookStage(job: StageJob, look: LookJob, pipeline: Pipeline, ports: StagePorts): Promise<Looked> {
  const unhurried = { ...job, stage: { ...job.stage, timeoutMs: null } };
  return attempted(unhurried, ports, (context) => lookRemote(job, look, pipeline, context));
}

/**
 * Helps an attempt at a rows stage that another worker makes: stages splits of it until nobody needs help any more. `job` is that
 * attempt's, with what it has planned as `earlier`. Answers how many splits it were.
 *
 * @throws SNAPSHOT_LOST and ATTEMPT_FENCED where that attempt has ended
 */
export function helpStage(job: StageJob, pipeline: Pipeline, ports: StagePorts): Promise<number> {
  return attempted(job, ports, (context, meter) => helpRows(job, pipeline, ports, context, meter));
}

async function attempted<T>(job: StageJob, ports: StagePorts, act: (context: Context, meter: Meter) => Promise<T>): Promise<T> {
  using timeout = timeoutOf(job);
  const meter = new Meter((progress) => ports.progress(progress));
  const signal = manyListeners(AbortSignal.any([ports.signal, timeout.signal]));
  const context: Context = {
    run: job.run,
    signal,
    secret: (ref, refused) => ports.secret(ref, refused),
    now: ports.now,
    log: ports.log,
    spool: ports.spool,
    progress: meter.counter(),
    memoryBudget: job.memoryBudget,
  };
  signal.throwIfAborted();
  meter.enter('planning');
  try {
    const done = await act(context, meter);
    meter.enter('done');
    return done;
  } catch (error) {
    // A call that was broken off may reject with anything; the reason is why.
    if (signal.aborted) throw signal.reason;
    throw job.stage.kind === 'changes' && ports.ending?.aborted ? ports.ending.reason : error;
  }
}

function work(job: StageJob, pipeline: Pipeline, ports: StagePorts, context: Context, meter: Meter): Promise<StageOutput> {
  const { kind } = job.stage;
  switch (kind) {
    case 'rows':
      return runRows(job, pipeline, ports, context, meter);
    case 'files':
      return runFiles(job, pipeline, context, meter);
    case 'changes':
      return runChanges(job, pipeline, ports, context, meter);
    case 'execute':
      return runExecute(job, pipeline, context, meter);
    case 'remote':
      return runRemote(job, pipeline, ports, context, meter);
    default:
      return kind satisfies never;
  }
}

function timeoutOf({ stage }: StageJob): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const { timeoutMs } = stage;
  if (timeoutMs === null) return { signal: controller.signal, [Symbol.dispose]: () => {} };
  const timer = setTimeout(() => {
    controller.abort(stageTimeout(stage.id, timeoutMs));
  }, timeoutMs);
  return { signal: controller.signal, [Symbol.dispose]: () => clearTimeout(timer) };
}

export function stageTimeout(stage: string, timeoutMs: number): MillraceError {
  return new MillraceError('STAGE_TIMEOUT', {
    message: `Stage "${stage}" was stopped after ${timeoutMs / 1000} s, its timeout.`,
    remedy: 'Look at what was slow, or raise the timeout of the step.',
    facts: { stage, timeoutMs },
  });
}
