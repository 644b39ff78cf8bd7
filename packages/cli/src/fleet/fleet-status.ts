import { postgresScheduleStore } from '@millrace/worker';
import { type FleetOverview, overviewOf } from '@millrace/worker/observe';
import { type ScheduleStatus, scheduleStatuses } from '../scheduler/schedule-status.ts';
import type { Session } from '../session.ts';
import { type DispatchStatus, dispatchStatus } from './dispatch-status.ts';

/** Who works on the state database, on what, and what comes next. */
export interface FleetStatus {
  readonly fleet: FleetOverview;
  readonly schedules: readonly ScheduleStatus[];
  readonly dispatch: DispatchStatus | null;
}

/** Of all pipelines, or of one. Looks each time it is called. */
export async function fleetStatuses(session: Session, pipeline?: string): Promise<() => Promise<FleetStatus>> {
  const state = await session.stateDatabase();
  const overview = session.keep(await overviewOf(state));
  const store = session.keep(await postgresScheduleStore(state));
  return async () => {
    const [fleet, schedules, dispatch] = await Promise.all([overview.look(), scheduleStatuses(store), dispatchStatus(session)]);
    if (pipeline === undefined) return { fleet, schedules, dispatch };
    return {
      fleet: {
        ...fleet,
        running: fleet.running.filter((stage) => stage.pipeline === pipeline),
        elsewhere: fleet.elsewhere.filter((stage) => stage.pipeline === pipeline),
      },
      schedules: schedules.filter((schedule) => schedule.pipeline === pipeline),
      dispatch,
    };
  };
}
