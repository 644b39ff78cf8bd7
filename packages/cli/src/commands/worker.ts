import { milliseconds } from '@millrace/core/runtime';
import {
  bullmqDispatch,
  bullmqPostgresDispatch,
  type Dispatch,
  type DispatchHealth,
  fleetQueue,
  postgresStore,
  startFleetWorker,
  workerId,
} from '@millrace/worker';
import type { ExitCode } from '../exit-code.ts';
import { deployment, tellDeployment } from '../project/deployed.ts';
import { type EndpointOptions, observed } from '../project/observed.ts';
import type { Session } from '../session.ts';
import { counted } from '../text/amount.ts';
import { askedExitCode, untilAsked } from '../until-asked.ts';

export interface WorkerCommandOptions extends EndpointOptions {
  readonly concurrency?: number;
}

/** Works for the environment's fleet until a signal comes, then drains. */
export async function worker(session: Session, options: WorkerCommandOptions): Promise<ExitCode> {
  const { terminal } = session;
  const project = await session.project();
  const deployed = await deployment(session);
  const pipelines = [...deployed.pipelines.values()];
  const store = session.keep(await postgresStore(await session.stateDatabase()));
  const environment = { ...(await session.workingEnvironment()), ...(options.concurrency && { concurrency: options.concurrency }) };
  const { name: fleet = 'default', lease = '60s', drain = '60s' } = project.environment.fleet ?? {};
  const dispatch = await fleetDispatch(session, fleet);
  const id = workerId();
  const observation = await observed(session, {
    role: 'worker',
    id,
    queue: fleetQueue(fleet),
    endpoints: options,
    ...(dispatch && { ready: { 'wake-ups': () => dispatch.health.at === 'connected' } }),
  });
  await tellDeployment(session, deployed, observation.log);
  const working = await startFleetWorker({
    store: observation.watch(store),
    trace: observation.trace,
    id,
    redactor: await session.secrets(),
    ...(dispatch && { dispatch }),
    pipelines,
    fleet,
    leaseMs: milliseconds(lease),
    finishMs: milliseconds(drain),
    directory: project.root,
    environment,
  });
  terminal.say(`Worker ${working.id} works for the fleet "${fleet}" with ${counted(pipelines.length, 'pipeline')}. (Ctrl-C drains it.)`);
  if (observation.url) terminal.say(`${observation.url} has /health, /ready and /metrics.`);
  const versions = pipelines.map(({ plan }) => [plan.pipeline, plan.fingerprint]);
  observation.log.info({ fleet, pipelines: Object.fromEntries(versions) }, 'worker started');
  terminal.emit({ type: 'working', worker: working.id, fleet, url: observation.url, pipelines: versions });
  working.takeUp();
  await untilAsked(session.signal);
  observation.draining();
  observation.log.info({ because: session.signal.reason }, 'worker drains');
  terminal.say('Draining: nothing is claimed any more, and what runs is finished or handed over. (Press again to stop at once.)');
  await working.drain();
  observation.log.info('worker drained');
  terminal.emit({ type: 'drained', worker: working.id });
  return askedExitCode(session.signal);
}

/** Undefined where the state database's notifications are enough. */
async function fleetDispatch(session: Session, fleet: string): Promise<Dispatch | undefined> {
  const { dispatch = 'notify' } = (await session.project()).environment.fleet ?? {};
  if (dispatch === 'notify') return undefined;
  const { terminal } = session;
  const watch = (health: DispatchHealth): void =>
    terminal.say(
      health.at === 'connected'
        ? 'Wake-ups travel again.'
        : `${terminal.err.yellow('warning')} wake-ups do not travel (${health.why}): work is found by looking, every few seconds.`,
    );
  const options = { queue: stages, fleet, watch };
  if (dispatch === 'bullmq-postgres') return session.keep(await bullmqPostgresDispatch({ url: await session.stateDatabase(), ...options }));
  const { redis } = dispatch;
  const url = typeof redis === 'string' ? redis : await (await session.secrets()).get(redis);
  return session.keep(await bullmqDispatch({ url, ...options }));
}

/** Of BullMQ. */
const stages = 'stages';
