import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Environment, Lease, RunStore } from '@millrace/core/runtime';
import type { Dispatch } from '../dispatch/dispatch.ts';
import { inlineDispatch } from '../dispatch/inline.ts';
import type { Deployed } from '../scheduler/launch.ts';
import { type Redactor, redactor } from '../secrets/redact.ts';
import { Worker } from '../worker/worker.ts';
import { catalogOf } from './pipelines.ts';
import { defaultFleet, fleetQueue } from './queue.ts';

export interface FleetWorkerOptions {
  readonly store: RunStore;
  /** Brings wake-ups; it belongs to the caller. Where it is left out, the state database's notifications do. */
  readonly dispatch?: Dispatch;
  /** What it can run. Runs of other pipelines and of other versions are left to workers that have them. */
  readonly pipelines: readonly Deployed[];
  /** Whose runs it works on, `default` by default. */
  readonly fleet?: string;
  /** The project's directory: `.env` and relative paths start there. The working directory by default. */
  readonly directory?: string;
  readonly environment?: Pick<Environment, 'secrets' | 'concurrency' | 'memory' | 'pools'>;
  /** As `workerId` makes them by default: a new one for each process, for two of one name would hold one another's leases. */
  readonly id?: string;
  /** Hears of the secrets that stages use: whoever else writes logs shares it. One of its own by default. */
  readonly redactor?: Redactor;
  /** The span of an attempt, as `observe` has it: spans that the code of the stage makes hang under it. */
  readonly trace?: (attempt: Lease) => string | null;
  /** Milliseconds without a heartbeat after which another worker may take a stage over; 60,000 by default. */
  readonly leaseMs?: number;
  /** Milliseconds that a drain lets stages come to their own end; 60,000 by default. With `graceMs` it must fit into ECS's 120 seconds. */
  readonly finishMs?: number;
  /** Milliseconds that a stage has to stop by itself before its process is killed; 20,000 by default. */
  readonly graceMs?: number;
}

/**
 * Works for a fleet until it is drained: claims stages of the pipelines that it has, and whatever others have left behind. Any
 * number of them share a store.
 *
 * @throws STATE_UNAVAILABLE, CONFIG_INVALID, PIPELINE_INVALID where two files use one name
 */
export function startFleetWorker(options: FleetWorkerOptions): Promise<Worker> {
  const { store, dispatch, pipelines, fleet = defaultFleet, environment = {} } = options;
  const { leaseMs = 60_000, finishMs = 60_000, graceMs = 20_000 } = options;
  const directory = resolve(options.directory ?? '.');
  return Worker.start({
    store,
    dispatch: dispatch ?? inlineDispatch(),
    ownDispatch: dispatch === undefined,
    id: options.id ?? workerId(),
    queue: fleetQueue(fleet),
    alone: false,
    pools: environment.pools ?? {},
    leaseMs,
    graceMs,
    finishMs,
    places: environment.concurrency ?? 2,
    memory: (environment.memory ?? 256) * 1024 * 1024,
    redactor: options.redactor ?? redactor(),
    catalog: catalogOf(pipelines, { directory, sources: environment.secrets ?? ['.env', 'env'] }),
    directory,
    progress: () => {},
    trace: options.trace,
  });
}

/** Where it runs, and something that no process before it had. */
export const workerId = (): string => `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
