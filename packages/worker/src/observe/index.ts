/**
 * What a process of a fleet says of itself: logs, metrics, traces, health, alerts.
 *
 * ```ts
 * const opened = await postgresStore(url);                 // which brings the tables up to date
 * const observed = await observe({
 *   role: 'worker', id, state: url, queue, secrets,
 *   http: { port: 9464, host: '0.0.0.0' },
 *   ready: { dispatch: () => dispatch.connected },
 *   alerts: environment.alerts,
 * });
 * const store = observed.watch(opened);                   // work through this one
 * const worker = await Worker.start({ store, … });        // its loop calls observed.turned() at every turn
 * observed.log.info({ queue }, 'worker started');
 * process.once('SIGTERM', async () => {
 *   observed.draining();                                  // /ready says no from here on
 *   await worker.drain();
 *   await observed[Symbol.asyncDispose]();                // alerts and spans go out, the endpoints close
 * });
 * ```
 *
 * A scheduler does the same and hands over `expected`, from which lateness follows.
 */

export type { ExpectedRun } from './alerts/alert.ts';
export type { Logger } from './log/logger.ts';
export { type Observation, observe } from './observe.ts';
export type { ObserveOptions } from './options.ts';
