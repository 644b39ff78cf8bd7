import {
  compile,
  followsChanges,
  isEnded,
  isMillraceError,
  MillraceError,
  type RunRecord,
  type StartRequest,
  timeZoneOf,
} from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { RunOptions } from '../program.ts';
import { follow } from '../progress/follow.ts';
import { environmentWarnings, warn } from '../project/environment-warnings.ts';
import { findPipeline } from '../project/pipelines.ts';
import { runOutcome, showOutcome } from '../run-outcome.ts';
import { instantOf, windowOf } from '../run-request.ts';
import type { ProjectExecutor, Session } from '../session.ts';
import { counted } from '../text/amount.ts';
import { warnUnlisted } from './plan.ts';

export async function run(session: Session, wanted: string, options: RunOptions): Promise<ExitCode> {
  const { terminal } = session;
  const loaded = await findPipeline(await session.project(), wanted, session.calledFrom);
  const plan = compile(loaded.pipeline);
  warnUnlisted(terminal, loaded);
  warn(terminal, [...plan.warnings, ...(await environmentWarnings(session, plan))]);
  const timeZone = timeZoneOf(plan.schedule);
  const request: StartRequest = {
    file: loaded.file,
    plan,
    params: options.param,
    unfinished: options.new ? 'queue' : 'continue',
    ...(options.date === undefined ? {} : { logicalTime: instantOf(options.date, timeZone, '--date') }),
    ...(options.window === undefined ? {} : { window: windowOf(options.window, timeZone) }),
    ...(options.only.length > 0 ? { only: options.only } : {}),
    ...(options.from === undefined ? {} : { from: options.from }),
    ...(options.fullRefresh ? { fullRefresh: true } : {}),
    ...(options.until === undefined ? {} : { until: options.until }),
  };
  if (options.until !== undefined && !followsChanges(plan)) throw endsByItself(plan.pipeline);
  const executor = await session.executor({ kind: options.executor });
  if (options.new) await giveUpUnfinished(session, executor, plan.pipeline);
  const started = await begin(executor, request);
  if (started.continued) terminal.say(`Going on with run ${started.run.id}, which was left unfinished. (--new begins another.)`);
  else terminal.say(`Run ${started.run.id} of ${plan.pipeline}: ${counted(plan.stages.length, 'stage')}.`);
  return watchToEnd(session, executor, started.run, { continued: started.continued, resume: `millrace run ${wanted}` });
}

const endsByItself = (pipeline: string): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: `--until is for pipelines that follow changes, and "${pipeline}" has no capture().`,
    remedy: 'Leave it out: the run ends when everything is loaded.',
  });

/** `--new`: a run that nobody works on is cancelled, since the new one would wait for it for ever. */
async function giveUpUnfinished({ terminal }: Session, executor: ProjectExecutor, pipeline: string): Promise<void> {
  for (const { id, abandoned } of await executor.list({ pipeline, states: ['queued', 'running'], limit: 1000 })) {
    if (!abandoned) continue;
    await executor.cancel(id);
    terminal.say(`Cancelled run ${id}, which was left unfinished.`);
  }
}

async function begin(executor: ProjectExecutor, request: StartRequest): ReturnType<ProjectExecutor['start']> {
  try {
    return await executor.start(request);
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'PLAN_CHANGED') throw error;
    throw new MillraceError('PLAN_CHANGED', {
      message: error.message,
      remedy: 'Check out the version it was made from to finish it, or give it up and begin a new run with --new.',
      facts: error.facts,
      cause: error,
    });
  }
}

/**
 * Shows a run until it ends, and its outcome. The first Ctrl-C drains: what runs is stopped and given back, and the run can be
 * gone on with. (The second ends this process at once; what it had not committed is not visible anywhere.) A run of others goes on.
 */
export async function watchToEnd(
  session: Session,
  executor: ProjectExecutor,
  run: RunRecord,
  how: { continued: boolean; resume: string },
): Promise<ExitCode> {
  const { terminal } = session;
  terminal.emit({ type: 'run', run: run.id, pipeline: run.request.pipeline, plan: run.plan.fingerprint, continued: how.continued });
  const drain = async (): Promise<void> => {
    if (executor.kind !== 'local') return;
    const means = followsChanges(run.plan) ? 'what was applied is made durable' : 'nothing that was committed is lost';
    terminal.say(`Stopping; ${means}. (Press again to stop at once.)`);
    return executor.drain();
  };
  // It may have been asked to stop before there was anything to stop: an abort that is over is not heard again.
  const drained = session.signal.aborted
    ? drain()
    : new Promise<void>((resolve, reject) => {
        session.signal.addEventListener('abort', () => drain().then(resolve, reject), { once: true });
      });
  await Promise.race([...(session.signal.aborted ? [] : [follow(terminal, executor, run, session.signal)]), drained]);
  if (session.signal.aborted) await drained;
  const detail = await executor.show(run.id);
  if (isEnded(detail.run.state)) {
    showOutcome(terminal, detail);
    return runOutcome(detail.run);
  }
  const code = session.signal.reason === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
  if (executor.kind !== 'local') {
    const watch = `millrace runs watch ${run.id}`;
    terminal.say(`Run ${run.id} goes on without us. Look at it again: ${terminal.err.bold(watch)}`);
    terminal.emit({ type: 'interrupted', run: run.id, resume: watch, exitCode: code });
    return code;
  }
  terminal.say(
    followsChanges(run.plan)
      ? `Stopped. The source keeps what comes; go on where the targets are: ${terminal.err.bold(how.resume)}`
      : `Run ${run.id} is unfinished. Go on with it: ${terminal.err.bold(how.resume)}`,
  );
  terminal.emit({ type: 'interrupted', run: run.id, resume: how.resume, exitCode: code });
  return code;
}
