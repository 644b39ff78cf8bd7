import { MillraceError } from '@millrace/core/runtime';
import { executorLaunch, fleetQueue, postgresScheduleStore, workerId } from '@millrace/worker';
import type { ExitCode } from '../exit-code.ts';
import { deployment, tellDeployment } from '../project/deployed.ts';
import { type EndpointOptions, observed } from '../project/observed.ts';
import { startScheduling, troubleTeller } from '../scheduler/scheduling.ts';
import { type TriggerEndpointOptions, triggerEndpoint } from '../scheduler/trigger-endpoint.ts';
import type { Session } from '../session.ts';
import { counted } from '../text/amount.ts';
import { askedExitCode, untilAsked } from '../until-asked.ts';

export interface SchedulerCommandOptions extends TriggerEndpointOptions, EndpointOptions {
  /** URL of a queue of SQS. */
  readonly s3Events?: string;
}

/** Makes runs when their time has come, until a signal comes. */
export async function scheduler(session: Session, options: SchedulerCommandOptions): Promise<ExitCode> {
  const { terminal } = session;
  const { environment, environmentName } = await session.project();
  if (environment.executor === 'step-functions') throw startsTwice(environmentName);
  const deployed = await deployment(session);
  const { pipelines } = deployed;
  const { executor: kind, fleet } = environment;
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const observation = await observed(session, {
    role: 'scheduler',
    id: workerId(),
    endpoints: options,
    ...(kind === 'fleet' && { queue: fleetQueue(fleet?.name ?? 'default') }),
  });
  await tellDeployment(session, deployed, observation.log);
  const launch = executorLaunch(await session.executor({ watch: observation.watch, trace: observation.trace }), pipelines);
  const onError = troubleTeller(session, observation);
  const server = await triggerEndpoint(session, options, { launch, pipelines, store, onError });
  const working = session.keep(await startScheduling(session, { store, launch, pipelines, observation, s3Events: options.s3Events }));
  const timed = [...pipelines.values()].filter(({ plan }) => plan.schedule.kind !== 'manual' && plan.schedule.kind !== 'continuous').length;
  terminal.say(`Scheduler of ${counted(pipelines.size, 'pipeline')}, ${timed} with a schedule or a trigger. (Ctrl-C ends it.)`);
  if (server) terminal.say(`Runs are started by POST ${server.url}/pipelines/<name>/runs.`);
  if (observation.url) terminal.say(`${observation.url} has /health, /ready and /metrics.`);
  const names = [...pipelines.keys()];
  observation.log.info({ pipelines: names }, 'scheduler started');
  terminal.emit({ type: 'scheduling', pipelines: names, url: server?.url ?? null, endpoints: observation.url });
  await untilAsked(session.signal);
  observation.draining();
  await working[Symbol.asyncDispose]();
  observation.log.info({ because: session.signal.reason }, 'scheduler ended');
  terminal.emit({ type: 'ended' });
  return askedExitCode(session.signal);
}

const startsTwice = (environment: string): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: `The environment "${environment}" runs on Step Functions, where EventBridge starts what is due: a scheduler would start it once more.`,
    remedy: 'Deploy its pipelines ("millrace deploy"). For a day that was missed: millrace run <pipeline> --date 2026-03-29.',
    facts: { environment },
  });
