import { isMillraceError, type ScheduleStore } from '@millrace/core/runtime';
import { type Deployed, type Launch, Scheduler } from '@millrace/worker';
import type { Observation } from '@millrace/worker/observe';
import type { Session } from '../session.ts';
import { triggerSources } from './sources.ts';

export interface SchedulingOptions {
  readonly store: ScheduleStore;
  readonly launch: Launch;
  readonly pipelines: ReadonlyMap<string, Deployed>;
  readonly observation: Observation;
  /** URL of a queue of SQS. */
  readonly s3Events?: string | undefined;
}

/** Begins to make runs of these pipelines, as they are now. */
export async function startScheduling(session: Session, { observation, s3Events, ...options }: SchedulingOptions): Promise<Scheduler> {
  const onError = troubleTeller(session, observation);
  const sources = await triggerSources(session, options.pipelines, options.store, { s3Events, onError });
  return Scheduler.start({ ...options, sources, onError, turned: observation.turned });
}

/** The same trouble each second is told when it begins. */
export function troubleTeller(session: Session, { log }: Observation): (error: unknown, what: string) => void {
  const { terminal } = session;
  const told = new Map<string, string>();
  return (error, what) => {
    const message = isMillraceError(error) ? `${error.code} ${error.message}` : String(error);
    if (told.get(what) === message) return;
    told.set(what, message);
    const at = new Date().toISOString();
    log.warn({ what, err: error }, 'the scheduler has trouble');
    void session.redact(message).then((text) => {
      terminal.say(`${terminal.err.yellow(`${what}:`)} ${text}`);
      terminal.emit({ type: 'trouble', at, what, message: text });
    });
  };
}
