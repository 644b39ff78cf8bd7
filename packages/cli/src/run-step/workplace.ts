import { compile, MillraceError, milliseconds } from '@millrace/core/runtime';
import { failedStages, type StageRequest } from '@millrace/step-functions';
import { postgresStore, runStep, type StepEnd, workerId } from '@millrace/worker';
import { observed } from '../project/observed.ts';
import { findPipeline } from '../project/pipelines.ts';
import type { Session } from '../session.ts';
import { loadedOnce } from './loaded-once.ts';

/** Where stages are run that a state machine asks for. */
export interface Workplace {
  readonly id: string;
  run(request: StageRequest, signal: AbortSignal): Promise<StepEnd>;
}

/** `places`: stages side by side, which share the memory. `graceMs`: what one has to stop in. @throws CONFIG_INVALID, STATE_UNAVAILABLE */
export async function openWorkplace(
  session: Session,
  { places = 1, graceMs }: { places?: number; graceMs?: number } = {},
): Promise<Workplace> {
  const project = await session.project();
  const redactor = await session.secrets();
  if (!process.env['MILLRACE_STATE_URL'] && project.environment.state === undefined) throw noState(project.environmentName);
  const store = session.keep(await postgresStore(await session.stateDatabase()));
  const id = workerId();
  const { watch, trace } = await observed(session, { role: 'worker', id, endpoints: {} });
  const { memory = 256, ...environment } = await session.workingEnvironment();
  const { lease = '60s' } = project.environment.fleet ?? {};
  const find = loadedOnce(async (name) => {
    const loaded = await findPipeline(project, name, project.root);
    return { file: loaded.file, plan: compile(loaded.pipeline) };
  });

  return {
    id,
    async run({ pipeline: name, run, stage, plan, input, redriveCount, place }, signal) {
      const pipeline = await find(name);
      return runStep(
        {
          run,
          stage,
          plan,
          failed: failedStages(pipeline.plan, input.failed),
          reopenings: input.reopened + input.redrives + redriveCount,
          redrives: input.redrives + redriveCount,
          alone: input.part && redriveCount > 0,
          helps: place > 0,
          request: { logicalTime: input.time, date: input.date, window: input.window, params: input.params },
        },
        {
          store: watch(store),
          pipeline,
          signal,
          directory: project.root,
          environment: { ...environment, memory: memory / places },
          redactor,
          id: places === 1 ? id : workerId(),
          trace,
          leaseMs: milliseconds(lease),
          ...(graceMs !== undefined && { graceMs }),
        },
      );
    },
  };
}

const noState = (environment: string): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: `The environment "${environment}" has no state database, and the tasks of an execution have nothing else in common.`,
    remedy: 'Set "state" of the environment, or MILLRACE_STATE_URL: a Postgres database that all tasks reach.',
  });
