import {
  type CaptureSource,
  type Context,
  type RunDetail,
  type RunSummary,
  type StageDetail,
  type StagePhase,
  type StoredError,
  type StoredStream,
  type StreamHealth,
  type StreamProgress,
  storeError,
} from '@millrace/core/runtime';
import type { ProjectExecutor } from '../session.ts';
import type { ContinuousPipeline } from './continuous.ts';
import { warningsOf } from './warnings.ts';

/** A stream as it is now: for people and, as JSON, for alarms. */
export interface StreamStatus {
  readonly pipeline: string;
  /** Of the capture. */
  readonly step: string;
  readonly state: StreamState;
  readonly run: string | null;
  /** As it was last heard of: a moment ago where it runs. */
  readonly stream: StreamProgress | null;
  readonly heardAt: string | null;
  /** Where nobody follows the stream the source has been asked for this, just now. */
  readonly health: StreamHealth | null;
  /** Why the source could not tell. */
  readonly sourceError: StoredError | null;
  readonly warnings: readonly string[];
}

export type StreamState =
  | { readonly at: 'running'; readonly since: string; readonly phase: StagePhase | null }
  /** An attempt has failed, and another one follows. */
  | { readonly at: 'retrying'; readonly next: string; readonly error: StoredError }
  | { readonly at: 'starting'; readonly since: string }
  | { readonly at: 'failed'; readonly since: string; readonly error: StoredError }
  /** `interrupted`: by Ctrl-C, or its process has gone. */
  | { readonly at: 'stopped'; readonly since: string; readonly how: 'caught-up' | 'cancelled' | 'interrupted' }
  | { readonly at: 'never-run' };

export async function streamStatuses(
  { pipeline, captures }: ContinuousPipeline,
  executor: ProjectExecutor,
  ask: (capture: string, source: CaptureSource) => Promise<SourceAnswer>,
): Promise<StreamStatus[]> {
  const [runs, known] = await Promise.all([executor.list({ pipeline: pipeline.name, limit: 20 }), executor.streams(pipeline.name)]);
  const run = tellingRun(runs, known);
  const detail = run && (await executor.show(run.id));
  return Promise.all(
    captures.map(async (step): Promise<StreamStatus> => {
      const heard = known.find((stream) => stream.step === step);
      const stage = detail?.stages.find(({ id }) => id === step);
      const state = stateOf(run, detail, stage, heard);
      const live = state.at === 'running' ? stage?.progress?.stream : undefined;
      const stream = live ?? heard?.progress.stream ?? null;
      const work = pipeline.steps[step]?.work;
      const followed = state.at === 'running' && stream !== null && stream.health !== null;
      const answer = followed || work?.kind !== 'capture' ? { health: stream?.health ?? null, error: null } : await ask(step, work.source);
      return {
        pipeline: pipeline.name,
        step,
        state,
        run: run?.id ?? null,
        stream,
        heardAt: live?.at ?? heard?.at ?? null,
        health: answer.health,
        sourceError: answer.error,
        warnings: warningsOf(stream, answer.health),
      };
    }),
  );
}

/** The one that follows the stream, else the newest one that ever did; one that came while another was there says nothing. */
function tellingRun(runs: readonly RunSummary[], known: readonly StoredStream[]): RunSummary | undefined {
  return (
    runs.find(({ state, abandoned }) => state.at === 'running' && !abandoned) ??
    runs.find((run) => run.state.at !== 'cancelled' || known.some(({ progress }) => progress.run === run.id)) ??
    runs[0]
  );
}

/** What the newest run says of the stage; where nobody works on it, since when. */
function stateOf(
  run: RunSummary | undefined,
  detail: RunDetail | undefined,
  stage: StageDetail | undefined,
  heard: StoredStream | undefined,
): StreamState {
  if (!run || !detail || !stage) return { at: 'never-run' };
  const { state } = detail.run;
  const since = heard && heard.progress.run === run.id && heard.at > state.since ? heard.at : state.since;
  if (state.at === 'failed' || state.at === 'partial') return { at: 'failed', since, error: state.error };
  if (state.at === 'succeeded') return { at: 'stopped', since, how: 'caught-up' };
  if (state.at === 'cancelled') return { at: 'stopped', since, how: 'cancelled' };
  if (detail.abandoned) return { at: 'stopped', since, how: 'interrupted' };
  if (stage.state.at === 'retrying') return { at: 'retrying', next: stage.state.next, error: stage.state.error };
  if (stage.state.at === 'running') return { at: 'running', since: stage.state.since, phase: stage.progress?.phase ?? null };
  return { at: 'starting', since: detail.run.createdAt };
}

export interface SourceAnswer {
  readonly health: StreamHealth | null;
  readonly error: StoredError | null;
}

/** Asks the source itself how the stream is: for streams that nobody follows at the moment. `health` is null where there is no stream. */
export async function askSource(
  source: CaptureSource,
  stream: { pipeline: string; step: string },
  context: Context,
): Promise<SourceAnswer> {
  try {
    await using opened = await source.open(context, stream);
    return { health: (await opened.stream()) === null ? null : await opened.health(), error: null };
  } catch (error) {
    context.signal.throwIfAborted();
    return { health: null, error: storeError(error) };
  }
}
