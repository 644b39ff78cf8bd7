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
import { observe } from '@millrace/worker/observe';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { deployedPipelines } from '../project/deployed.ts';
import type { Session } from '../session.ts';
import { counted } from '../text/amount.ts';

export interface WorkerCommandOptions {
  readonly concurrency?: number;
  /** Port of `/health`, `/ready` and `/metrics`. */
  readonly http?: number;
  readonly host?: string;
}

/** Works for the environment's fleet until a signal comes, then drains. Its log goes to standard output, unless a person looks on. */
export async function worker(session: Session, options: WorkerCommandOptions): Promise<ExitCode> {
  const { terminal } = session;
  const project = await session.project();
  const pipelines = [...(await deployedPipelines(session)).values()];
  const state = await session.stateUrl();
  const store = session.keep(await postgresStore(state));
  const environment = { ...(await session.workingEnvironment()), ...(options.concurrency && { concurrency: options.concurrency }) };
  const { name: fleet = 'default', lease = '60s' } = project.environment.fleet ?? {};
  const dispatch = await fleetDispatch(session, fleet);
  const id = workerId();
  const secrets = await session.secrets();
  const observed = session.keep(
    await observe({
      role: 'worker',
      id,
      state,
      secrets,
      queue: fleetQueue(fleet),
      ...(terminal.live && !terminal.json && { sink: silent }),
      ...(options.http !== undefined && { http: { port: options.http, ...(options.host !== undefined && { host: options.host }) } }),
      ...(project.environment.alerts && { alerts: project.environment.alerts }),
    }),
  );
  const working = await startFleetWorker({
    store: observed.watch(store),
    id,
    redactor: secrets,
    ...(dispatch && { dispatch }),
    pipelines,
    fleet,
    leaseMs: milliseconds(lease),
    directory: project.root,
    environment,
  });
  terminal.say(`Worker ${working.id} works for the fleet "${fleet}" with ${counted(pipelines.length, 'pipeline')}. (Ctrl-C drains it.)`);
  if (observed.url) terminal.say(`${observed.url} has /health, /ready and /metrics.`);
  terminal.emit({
    type: 'working',
    worker: working.id,
    fleet,
    url: observed.url,
    pipelines: pipelines.map(({ plan }) => [plan.pipeline, plan.fingerprint]),
  });
  working.takeUp();
  await asked(session.signal);
  observed.draining();
  terminal.say('Draining: nothing is claimed any more, and what runs is finished or handed over. (Press again to stop at once.)');
  await working.drain();
  terminal.emit({ type: 'drained', worker: working.id });
  return session.signal.reason === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
}

const silent = { write: () => true };

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
  if (dispatch === 'bullmq-postgres') return session.keep(await bullmqPostgresDispatch({ url: await session.stateUrl(), ...options }));
  const { redis } = dispatch;
  const url = typeof redis === 'string' ? redis : await (await session.secrets()).get(redis);
  return session.keep(await bullmqDispatch({ url, ...options }));
}

/** Of BullMQ. */
const stages = 'stages';

function asked(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
