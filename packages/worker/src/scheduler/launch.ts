import { type Executor, isEnded, isMillraceError, MillraceError, type Plan, type RunId, type RunRequest } from '@millrace/core/runtime';

/** How a scheduler has runs made. Everything may be asked for twice: by two schedulers at once, or after a crash. */
export interface Launch {
  /** Makes the run, or answers the one that has the idempotency key. @throws PIPELINE_NOT_FOUND, CONFIG_INVALID and what the state has against us */
  launch(request: LaunchRequest): Promise<Launched>;
  cancel(run: RunId): Promise<void>;
  /** Has an ended run go on; false where it was made from another version of the pipeline, or is not there any more. */
  retry(run: RunId): Promise<boolean>;
}

export interface Launched {
  readonly run: RunId;
  /** False where the key had its run already. */
  readonly created: boolean;
  /** What the run was asked to do, by whoever was first. */
  readonly request: RunRequest;
}

export interface LaunchRequest {
  readonly pipeline: string;
  readonly logicalTime: string;
  readonly window: { readonly start: string; readonly end: string } | null;
  readonly params: Readonly<Record<string, string>>;
  /** What a trigger has to tell: given to the run as far as the pipeline declares such parameters. */
  readonly told?: Readonly<Record<string, string>>;
  readonly fullRefresh?: boolean;
  readonly idempotencyKey: string;
}

/** A pipeline as it is deployed here. */
export interface Deployed {
  readonly file: string;
  readonly plan: Plan;
}

/** Runs of these pipelines, by their names, made through an executor: a fleet's, or the local one. */
export function executorLaunch(
  executor: Pick<Executor, 'start' | 'cancel' | 'show' | 'retry'>,
  pipelines: ReadonlyMap<string, Deployed>,
): Launch {
  const deployed = (name: string): Deployed => {
    const found = pipelines.get(name);
    if (found) return found;
    throw new MillraceError('PIPELINE_NOT_FOUND', {
      message: `This process has no pipeline "${name}".`,
      remedy: `It has ${[...pipelines.keys()].join(', ') || 'none'}.`,
      facts: { pipeline: name },
    });
  };
  return {
    async launch({ pipeline, logicalTime, window, params, told = {}, fullRefresh, idempotencyKey }) {
      const { file, plan } = deployed(pipeline);
      const heard = Object.entries(told).filter(([name]) => Object.hasOwn(plan.params, name));
      const { run, continued } = await executor.start({
        file,
        plan,
        logicalTime,
        params: { ...Object.fromEntries(heard), ...params },
        idempotencyKey,
        unfinished: 'queue',
        ...(window && { window }),
        ...(fullRefresh && { fullRefresh }),
      });
      return { run: run.id, created: !continued, request: run.request };
    },
    async cancel(run) {
      await executor.cancel(run).catch(unlessGone);
    },
    async retry(id) {
      const detail = await executor.show(id).catch(unlessGone);
      if (!detail) return false;
      const { run } = detail;
      if (!isEnded(run.state)) return true;
      if (pipelines.get(run.request.pipeline)?.plan.fingerprint !== run.plan.fingerprint) return false;
      await executor.retry(id);
      return true;
    },
  };
}

function unlessGone(error: unknown): undefined {
  if (isMillraceError(error) && error.code === 'RUN_NOT_FOUND') return undefined;
  throw error;
}
