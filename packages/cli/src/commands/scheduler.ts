import { isMillraceError, MillraceError, type ScheduleStore, secret } from '@millrace/core/runtime';
import {
  type Deployed,
  executorLaunch,
  type Launch,
  postgresScheduleStore,
  Scheduler,
  type TriggerServer,
  triggerServer,
} from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { deployedPipelines } from '../project/deployed.ts';
import { triggerSources } from '../scheduler/sources.ts';
import type { Session } from '../session.ts';
import { counted } from '../text/amount.ts';

export interface SchedulerCommandOptions {
  readonly listen?: number;
  readonly host?: string;
  /** URL of a queue of SQS. */
  readonly s3Events?: string;
}

/** Makes runs when their time has come, until a signal comes. */
export async function scheduler(session: Session, options: SchedulerCommandOptions): Promise<ExitCode> {
  const { terminal } = session;
  const pipelines = await deployedPipelines(session);
  const store = session.keep(await postgresScheduleStore(await session.stateUrl()));
  const launch = executorLaunch(await session.executor(), pipelines);
  const onError = errorTeller(session);
  const server =
    options.listen === undefined
      ? null
      : session.keep(await listen(session, { ...options, port: options.listen }, { launch, pipelines, store }));
  const sources = await triggerSources(session, pipelines, store, { s3Events: options.s3Events, onError });
  const working = session.keep(await Scheduler.start({ store, launch, pipelines, sources, onError }));
  const timed = [...pipelines.values()].filter(({ plan }) => plan.schedule.kind !== 'manual' && plan.schedule.kind !== 'continuous').length;
  terminal.say(`Scheduler of ${counted(pipelines.size, 'pipeline')}, ${timed} with a schedule or a trigger. (Ctrl-C ends it.)`);
  if (server) terminal.say(`Runs are started by POST ${server.url}/pipelines/<name>/runs.`);
  terminal.emit({ type: 'scheduling', pipelines: [...pipelines.keys()], url: server?.url ?? null });
  await asked(session.signal);
  await working[Symbol.asyncDispose]();
  terminal.emit({ type: 'ended' });
  return session.signal.reason === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
}

async function listen(
  session: Session,
  { port, host }: { readonly port: number; readonly host?: string },
  {
    launch,
    pipelines,
    store,
  }: { readonly launch: Launch; readonly pipelines: ReadonlyMap<string, Deployed>; readonly store: ScheduleStore },
): Promise<TriggerServer> {
  const token = await (await session.secrets()).get(secret('MILLRACE_TRIGGER_TOKEN'));
  if (token.length < 16)
    throw new MillraceError('CONFIG_INVALID', {
      message: 'MILLRACE_TRIGGER_TOKEN has less than 16 characters, so that it can be guessed.',
      remedy: "Make one: node -p \"require('node:crypto').randomBytes(24).toString('base64url')\"",
    });
  const onError = errorTeller(session);
  return triggerServer({
    launch,
    pipelines,
    token,
    port,
    now: () => store.now(),
    onError: (error) => onError(error, 'a request'),
    ...(host !== undefined && { host }),
  });
}

/** The same trouble each second is told when it begins. */
function errorTeller(session: Session): (error: unknown, what: string) => void {
  const { terminal } = session;
  const told = new Map<string, string>();
  return (error, what) => {
    const message = isMillraceError(error) ? `${error.code} ${error.message}` : String(error);
    if (told.get(what) === message) return;
    told.set(what, message);
    const at = new Date().toISOString();
    void session.redact(message).then((text) => {
      terminal.say(`${terminal.err.yellow(`${what}:`)} ${text}`);
      terminal.emit({ type: 'trouble', at, what, message: text });
    });
  };
}

function asked(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
