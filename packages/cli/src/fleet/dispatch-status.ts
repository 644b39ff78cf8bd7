import { type StoredError, storeError } from '@millrace/core/runtime';
import { checkRedis } from '@millrace/worker';
import type { Session } from '../session.ts';

/** What carries wake-ups between the workers of the environment, and whether it can be reached from here. */
export interface DispatchStatus {
  readonly by: 'notify' | 'bullmq-postgres' | 'redis';
  /** Null where it is there. */
  readonly error: StoredError | null;
  /** `valkey 8.0.1` */
  readonly server?: string;
}

/** Null where there is no fleet. The state database has answered when this is asked. */
export async function dispatchStatus(session: Session): Promise<DispatchStatus | null> {
  const { executor, fleet } = (await session.project()).environment;
  if (executor !== 'fleet') return null;
  const { dispatch = 'notify' } = fleet ?? {};
  if (typeof dispatch === 'string') return { by: dispatch, error: null };
  try {
    const { redis } = dispatch;
    const { flavour, version } = await checkRedis(typeof redis === 'string' ? redis : await (await session.secrets()).get(redis));
    return { by: 'redis', error: null, server: `${flavour} ${version}` };
  } catch (error) {
    return { by: 'redis', error: storeError(error) };
  }
}
