import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MillraceError } from '@millrace/core/runtime';
import { executorLaunch, type LocalExecutor, postgresScheduleStore, type Scheduler, workerId } from '@millrace/worker';
import { goOnWithRuns, unfinishedRuns } from '../dev/left-runs.ts';
import { signatureOf } from '../dev/signature.ts';
import { tellFound } from '../dev/tell-found.ts';
import { Versions } from '../dev/versions.ts';
import type { ExitCode } from '../exit-code.ts';
import { happeningLines } from '../progress/happening-lines.ts';
import { type EndpointOptions, observed } from '../project/observed.ts';
import { type SchedulingOptions, startScheduling, troubleTeller } from '../scheduler/scheduling.ts';
import { type TriggerEndpointOptions, triggerEndpoint } from '../scheduler/trigger-endpoint.ts';
import type { Session } from '../session.ts';
import { counted } from '../text/amount.ts';
import { askedExitCode } from '../until-asked.ts';

export interface DevOptions extends TriggerEndpointOptions, EndpointOptions {}

/** Between two looks at the files. */
const lookMs = 300;
const failedMs = 2_000;

/**
 * Scheduler and worker of a project on this machine, while people work on its pipelines. What compiles is deployed at once; what does not
 * is told, and the version before it stays. A run ends with the code it was made from.
 */
export async function dev(session: Session, options: DevOptions): Promise<ExitCode> {
  const { terminal, signal } = session;
  const project = await session.project();
  const { executor: kind = 'local' } = project.environment;
  if (kind !== 'local') throw belongsElsewhere(kind, project.environmentName);
  const versions = new Versions(project);
  const { pipelines, fileOf } = versions;
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const observation = await observed(session, { role: 'dev', id: workerId(), endpoints: options, listener: listenerOf(session) });
  const executor = (await session.executor({ watch: observation.watch, trace: observation.trace, fileOf })) as LocalExecutor;
  const launch = executorLaunch(executor, pipelines);
  await tellFound(session, await versions.look());
  const server = await triggerEndpoint(session, options, { launch, pipelines, store, onError: troubleTeller(session, observation) });
  terminal.say(`${counted(pipelines.size, 'pipeline')} of ${project.root}. (Ctrl-C drains.)`);
  if (server) terminal.say(`Runs are started by POST ${server.url}/pipelines/<name>/runs.`);
  if (observation.url) terminal.say(`${observation.url} has /health, /ready and /metrics.`);
  terminal.emit({ type: 'developing', pipelines: [...pipelines.keys()], url: server?.url ?? null, endpoints: observation.url });
  await goOnWithRuns(session, executor, pipelines);
  await scheduling(session, versions, { store, launch, pipelines, observation });
  observation.draining();
  terminal.say('Draining: what runs is stopped and given back. (Press again to stop at once.)');
  await executor.drain();
  const left = await unfinishedRuns(executor);
  if (left.length > 0) terminal.say(`${counted(left.length, 'run')} unfinished: "millrace dev" goes on with them.`);
  terminal.emit({ type: 'drained', unfinished: left.map(({ id }) => id) });
  return askedExitCode(signal);
}

const belongsElsewhere = (kind: 'fleet' | 'step-functions', environment: string): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: `The environment "${environment}" has ${kind === 'fleet' ? 'a fleet, to which' : 'state machines, beside which'} "millrace dev" would ${kind === 'fleet' ? 'deploy' : 'run'} what is on this machine.`,
    remedy: `Choose another environment (--env local), or ${kind === 'fleet' ? 'start "millrace worker" and "millrace scheduler"' : 'use "millrace deploy"'}.`,
    facts: { environment },
  });

function listenerOf({ terminal }: Session): ReturnType<typeof happeningLines> {
  const lines = happeningLines(terminal);
  return {
    happened(one) {
      lines.happened(one);
      terminal.emit({ ...one });
    },
    logged(all) {
      lines.logged(all);
      for (const line of all) terminal.emit({ type: 'log', ...line });
    },
  };
}

/** Makes runs of what is deployed, and deploys what changes, until the session is asked to end. */
async function scheduling(session: Session, versions: Versions, options: SchedulingOptions): Promise<void> {
  const { signal } = session;
  const onError = troubleTeller(session, options.observation);
  const tellSettings = await settingsTeller(session);
  let working: Scheduler | null = null;
  while (!signal.aborted) {
    working ??= await startScheduling(session, options).catch((error: unknown) => {
      onError(error, 'scheduling');
      return null;
    });
    await sleep(working ? lookMs : failedMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) break;
    tellSettings();
    const found = await versions.look();
    await tellFound(session, found);
    if (!found.some(({ type }) => type !== 'broken')) continue;
    // Triggers are made for the pipelines of one moment. What it has begun it brings to an end first; runs are not touched.
    await working?.[Symbol.asyncDispose]();
    working = null;
  }
  await working?.[Symbol.asyncDispose]();
}

/** What is read once, at the start. */
async function settingsTeller(session: Session): Promise<() => void> {
  const { terminal } = session;
  const { configFile, root } = await session.project();
  const files = [...(configFile === null ? [] : [configFile]), join(root, '.env')];
  let known = signatureOf(files);
  return () => {
    const now = signatureOf(files);
    if (now === known) return;
    known = now;
    terminal.say(`${terminal.err.yellow('changed')} the config or .env: start "millrace dev" again to have it.`);
    terminal.emit({ type: 'settings-changed' });
  };
}
