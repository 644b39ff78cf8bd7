import { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../session.ts';

/** For what is asked of schedulers: where none works it would wait for ever. `instead`: what to do there. @throws CONFIG_INVALID */
export async function needsSchedulers(session: Pick<Session, 'project'>, instead: string): Promise<void> {
  const { environment, environmentName } = await session.project();
  if (environment.executor !== 'step-functions') return;
  throw new MillraceError('CONFIG_INVALID', {
    message: `The environment "${environmentName}" runs on Step Functions, where EventBridge starts what is due: no scheduler works there that would do this.`,
    remedy: instead,
    facts: { environment: environmentName },
  });
}

export const insteadOfBackfill =
  'Start each run by itself (millrace run <pipeline> --date 2026-03-29, or --window), or make the backfill in an environment with a fleet.';

export const insteadOfPause = 'Disable or enable the schedule or the rule of the pipeline in EventBridge.';
