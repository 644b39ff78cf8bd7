/**
 * What a process of a fleet says of itself: logs, metrics, traces, health, alerts. An entry of its own, `@millrace/worker/observe`:
 * commands that observe nothing start without it.
 *
 * ```ts
 * const id = workerId();
 * const opened = await postgresStore(url);              // which brings the tables up to date
 * const dispatch = await bullmqDispatch({ … });
 * const observed = await observe({
 *   role: 'worker', id, state: url, queue, secrets,      // `secrets` is also the worker's redactor: what it hides, the log hides
 *   http: { port: 9464, host: '0.0.0.0' },
 *   ready: { dispatch: () => dispatch.health.at === 'connected' },
 *   alerts: environment.alerts,
 * });
 * const worker = await startFleetWorker({ store: observed.watch(opened), trace: observed.trace, dispatch, id, redactor: secrets, … });
 * observed.log.info({ queue }, 'worker started');
 * process.once('SIGTERM', async () => {                  // also what Spot and scale-in send
 *   observed.draining();                                 // /ready says no from here on
 *   await worker.drain();
 *   await observed[Symbol.asyncDispose]();               // alerts and spans go out, the endpoints close
 * });
 * ```
 *
 * A scheduler does the same with `role: 'scheduler'`, calls `observed.turned()` in its loop, and hands over `expected`, from which
 * lateness follows.
 */

export type { QueueGauges } from '../store/gauges.ts';
export type { ElsewhereStage, FleetOverview, RunningStage, WorkerOverview } from '../store/overview.ts';
export type { ExpectedRun } from './alerts/alert.ts';
export type { Happening } from './happenings.ts';
export type { LineSink, Logger } from './log/logger.ts';
export { type Observation, observe } from './observe.ts';
export type { ObserveListener, ObserveOptions } from './options.ts';
export { type Overview, overviewOf } from './overview.ts';
