import { setTimeout as sleep } from 'node:timers/promises';
import type { RunStore } from '@millrace/core/runtime';
import { metrics, trace } from '@opentelemetry/api';
import { takeTurn } from '../store/alerts.ts';
import { connect } from '../store/connect.ts';
import { type FleetGauges, fleetGauges } from '../store/gauges.ts';
import { traces as findTraces, storeTrace } from '../store/traces.ts';
import { Alerter } from './alerts/alerter.ts';
import { alertTargets } from './alerts/target.ts';
import { taskMetadata } from './ecs/agent.ts';
import { TaskProtection } from './ecs/task-protection.ts';
import { type Answer, type Endpoints, serveEndpoints } from './endpoints.ts';
import type { Happening } from './happenings.ts';
import { answers, healthOf } from './health.ts';
import { Held } from './held.ts';
import { type Logger, logger, standardOutput } from './log/logger.ts';
import { logHappening, logLines } from './log/tell.ts';
import { fleetLines, jobLine } from './metrics/cloudwatch.ts';
import { fleetMetrics, processMetrics } from './metrics/fleet.ts';
import { instruments } from './metrics/instruments.ts';
import { observeFleet } from './metrics/open-telemetry.ts';
import { Registry } from './metrics/registry.ts';
import type { ObserveOptions } from './options.ts';
import { outage } from './outage.ts';
import { recent, within } from './recent.ts';
import { Traces } from './traces.ts';
import { watchStore } from './watch-store.ts';

/** What a process of a fleet says of itself and of its work. */
export interface Observation extends AsyncDisposable {
  readonly log: Logger;
  /** Of the endpoints; null where none were asked for. */
  readonly url: string | null;
  /** The store through which the process works from now on: what it does with it is logged, counted, traced and told. */
  watch(store: RunStore): RunStore;
  /** The span of an attempt, as a traceparent; null where it is not traced. The worker hands it to the process that runs the stage. */
  trace(attempt: { readonly run: string; readonly stage: string; readonly epoch: number }): string | null;
  /** The main loop is turning: to be called every few seconds. The loop of a worker need not: its looks for work are seen. */
  turned(): void;
  /** The process has been asked to end: it is not ready any more. Health and metrics go on until it is disposed. */
  draining(): void;
  fleet(): Promise<FleetGauges>;
}

/** How often the fleet's figures are written for CloudWatch, by one process of it. */
const publishMs = 60_000;

/**
 * Begins to observe this process.
 *
 * @throws CONFIG_INVALID, SECRET_MISSING and UNSUPPORTED where the configuration of alerts or endpoints does not hold. Later nothing
 * that is observed waits for it or fails because of it.
 */
export async function observe(options: ObserveOptions): Promise<Observation> {
  const { role, id, state, secrets, queue, level, http, ready = {}, longMs = 30_000, env = process.env } = options;
  const sink = options.sink ?? standardOutput();
  const task = await taskMetadata(env);
  const fields = { role, worker: id, ...(task && { task: task.task, family: `${task.family}:${task.revision}` }) };
  const log = logger({ redactor: secrets, fields, sink, ...(level && { level }) });
  const cloudwatch = options.cloudwatch ?? task !== null;
  const write = (line: string | null) => line !== null && sink.write(`${line}\n`);

  const targets = await alertTargets(options.alerts ?? {}, secrets);
  const connection = connect(state);
  const registry = new Registry(metrics.getMeter('millrace'));
  const counted = instruments(registry);
  const spans = new Traces(trace.getTracer('millrace'), {
    store: (...span) => connection.guard((db) => storeTrace(db, ...span)),
    find: (run, stages) => connection.guard((db) => findTraces(db, run, stages)),
  });
  const own = processMetrics();
  const held = new Held();
  const store = outage(
    (error) => log.warn({ err: error }, 'the state store is away: what is observed of it has to wait'),
    () => log.info('the state store is back'),
  );
  const protection = env['ECS_AGENT_URI']
    ? new TaskProtection({
        agent: env['ECS_AGENT_URI'],
        failed: (error) => log.warn({ err: error }, 'ECS does not protect this task: scale-in may end it, and its stages go on elsewhere'),
        worked: () => log.info('ECS answers again about the protection of this task'),
      })
    : null;

  const fleet = recent(2_000, async () => {
    const gauges = await connection.guard(fleetGauges);
    store.worked();
    return gauges;
  });
  const stopGauges = observeFleet(metrics.getMeter('millrace'), fleet);
  const alerter = new Alerter({
    connection,
    targets,
    ...(options.expected && { expected: options.expected }),
    ...options.alertPauses,
    redact: (text) => secrets.redact(text),
    failed: store.failed,
    worked: store.worked,
    told(target, kind, result, error) {
      counted.alerted(target, kind, result);
      if (error !== null) log.warn({ target, kind, err: { message: error } }, `alert ${result}`);
      else log.info({ target, kind }, 'alert sent');
    },
  });

  const health = healthOf({
    ready: { 'state store': recent(1_000, () => connection.guard(answers)), ...ready },
    silenceMs: options.silenceMs ?? 60_000,
  });
  const paths = {
    ...health.paths,
    '/metrics': async (): Promise<Answer> => {
      const gauges = await within(3_000, fleet).catch(store.failed);
      const info = { name: 'millrace_info', help: 'Who this is.', values: [{ labels: { ...fields, queue: queue ?? '' }, value: 1 }] };
      return { status: 200, body: registry.text([...fleetMetrics(gauges ?? null), info, ...own.gauges()]) };
    },
  };
  let endpoints: Endpoints | null = null;
  try {
    if (http) endpoints = await serveEndpoints({ ...http, paths });
  } catch (error) {
    own.stop();
    stopGauges();
    await alerter.close(0);
    await connection[Symbol.asyncDispose]();
    throw error;
  }

  const publish = async (): Promise<void> => {
    try {
      const ours = await connection.guard((db) => takeTurn(db, 'cloudwatch', publishMs * 0.9));
      if (ours) for (const line of fleetLines(await fleet(), queue, new Date())) write(line);
    } catch (error) {
      store.failed(error);
    }
  };
  const publishing = cloudwatch ? setInterval(() => void publish(), publishMs / 4).unref() : undefined;
  if (cloudwatch) void publish();

  function happened(one: Happening): void {
    held.happened(one);
    counted.happened(one);
    logHappening(log, one);
    options.listener?.happened(one);
    if (one.type === 'attempt.started') spans.started(one);
    if (one.type === 'attempt.ended') spans.ended(one);
    if (one.type !== 'run.ended') return;
    spans.runEnded(one);
    if (cloudwatch) write(jobLine(one));
    alerter.look();
  }

  return {
    log,
    url: endpoints?.url ?? null,
    fleet,
    watch: (watched) =>
      watchStore(watched, {
        happened,
        turned: health.turned,
        beat(attempts) {
          counted.beat(attempts, held.pipelineOf);
          for (const attempt of attempts) if (attempt.lost) spans.lost(attempt);
          protection?.want(held.long(attempts, longMs));
        },
        logged(lines) {
          logLines(log, lines, held.pipelineOf);
          options.listener?.logged(lines);
        },
        failed: (error) => log.error({ err: error }, 'something could not be observed'),
      }),
    trace: (attempt) => spans.of(attempt),
    turned: health.turned,
    draining: health.draining,
    async [Symbol.asyncDispose]() {
      health.draining();
      clearInterval(publishing);
      const closing = Promise.allSettled([alerter.close(5_000), spans.close(), protection?.[Symbol.asyncDispose]()]);
      await Promise.race([closing, sleep(10_000, undefined, { ref: false })]);
      own.stop();
      stopGauges();
      await endpoints?.[Symbol.asyncDispose]();
      await Promise.race([connection[Symbol.asyncDispose](), sleep(2_000, undefined, { ref: false })]);
    },
  };
}
