import type { Environment } from '@millrace/core/runtime';
import { expectedRuns, postgresScheduleStore } from '@millrace/worker';
import { type Observation, type ObserveListener, type ObserveOptions, observe } from '@millrace/worker/observe';
import { happeningLines } from '../progress/happening-lines.ts';
import type { Session } from '../session.ts';

/** Options of every command that goes on: `--http <port> --host <address>`. */
export interface EndpointOptions {
  /** Port of `/health`, `/ready` and `/metrics`. */
  readonly http?: number;
  readonly host?: string;
}

/**
 * This process, observed as the environment says until the session ends. Its log goes to standard output; where a person looks on, lines
 * for people take its place.
 */
export async function observed(
  session: Session,
  how: Pick<ObserveOptions, 'role' | 'id' | 'queue' | 'ready'> & {
    readonly endpoints: EndpointOptions;
    /** Hears of everything in place of the log. */
    readonly listener?: ObserveListener;
  },
): Promise<Observation> {
  const { terminal } = session;
  const { endpoints, listener = terminal.live && !terminal.json ? happeningLines(terminal) : undefined, ...rest } = how;
  const { http: port, host } = endpoints;
  const { alerts } = (await session.project()).environment;
  return session.keep(
    await observe({
      ...rest,
      state: await session.stateDatabase(),
      secrets: await session.secrets(),
      ...(listener && { listener, sink: silent }),
      ...(port !== undefined && { http: { port, ...(host !== undefined && { host }) } }),
      ...(alerts && { alerts, ...(await lateness(session, alerts)) }),
    }),
  );
}

const silent = { write: () => true };

/** Every process looks for what is late, so that it is told also where no scheduler is left. */
async function lateness(session: Session, alerts: NonNullable<Environment['alerts']>): Promise<Pick<ObserveOptions, 'expected'>> {
  if (Object.keys(alerts).length === 0) return {};
  return { expected: expectedRuns(session.keep(await postgresScheduleStore(await session.stateDatabase()))) };
}
