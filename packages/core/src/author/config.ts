import type { Setting } from '../connector/index.ts';
import type { Duration } from './step.ts';
import type { StepFunctionsSettings } from './step-functions-settings.ts';

/** Where a project's pipelines are and in which environments they run. The default export of `millrace.config.ts`. */
export interface Config {
  /** A glob, relative to the config file. */
  readonly pipelines: string;
  readonly environments: Readonly<Record<string, Environment>>;
}

/**
 * `.env` is a file beside the config, `env` the process environment. What stands in `secretsManager` and `parameterStore` is put before the
 * name: with `{ secretsManager: 'prod/' }`, `secret('SHOP_URL')` is the secret `prod/SHOP_URL`; with `{ secretsManager: 'prod#' }` it is
 * the value SHOP_URL of the JSON object `prod`. They need the packages `@aws-sdk/client-secrets-manager` and `@aws-sdk/client-ssm`; the
 * region is AWS_REGION's where it is left out.
 */
export type SecretPlace =
  | '.env'
  | 'env'
  | { readonly secretsManager: string; readonly region?: string }
  | { readonly parameterStore: string; readonly region?: string };

export interface Environment {
  /** Where `secret('NAME')` is looked up, in this order; `['.env', 'env']` by default. */
  readonly secrets?: readonly SecretPlace[];
  /** The Postgres that keeps runs. An embedded one under `.millrace/` where it is left out. */
  readonly state?: Setting;
  readonly executor?: 'local' | 'fleet' | 'step-functions';
  readonly fleet?: FleetSettings;
  /** Where state machines of this environment run, for `millrace compile`, `millrace deploy` and runs on them. */
  readonly stepFunctions?: StepFunctionsSettings;
  /** How many stages of each pool (`extract(…, { pool: 'reporting' })`) run at once, over all processes that share the state. */
  readonly pools?: Readonly<Record<string, number>>;
  /** Stages that run side by side in one process, 2 by default. */
  readonly concurrency?: number;
  /** Memory in MiB that the splits of a process may use together, 256 by default. */
  readonly memory?: number;
  /**
   * Who is told when a run fails, is late, or succeeds again after that. By a name that stays: what was told is remembered under it.
   * `{ oncall: { slack: secret('SLACK_URL') }, audit: { webhook: secret('AUDIT_URL'), on: ['failed'] } }`
   */
  readonly alerts?: Readonly<Record<string, AlertTarget>>;
}

export type AlertKind = 'failed' | 'late' | 'recovered';

export type AlertTarget = (
  | { /** Gets each alert as JSON by POST. */ readonly webhook: Setting }
  | { /** The URL of an incoming webhook. */ readonly slack: Setting }
  | { /** The ARN of a topic. Needs the package `@aws-sdk/client-sns`. */ readonly sns: Setting }
) & {
  /** All by default. */
  readonly on?: readonly AlertKind[];
  /** Of these pipelines only. */
  readonly pipelines?: readonly string[];
};

/** Workers that share a state database. */
export interface FleetSettings {
  /** Keeps fleets on one state database apart, `default` by default: lower-case letters, digits, `-` and `_`. */
  readonly name?: string;
  /**
   * What carries wake-ups between the workers. `notify`, the default: notifications of the state database, with nothing else to run.
   * `{ redis: secret('REDIS_URL') }`: BullMQ on Redis, for many workers and short stages. `bullmq-postgres`: BullMQ on the state database.
   * BullMQ needs the packages `bullmq` and, for Redis, `ioredis`.
   */
  readonly dispatch?: 'notify' | 'bullmq-postgres' | { readonly redis: Setting };
  /** How long a worker may be silent before others take over what it does, `'60s'` by default. One whose process ends is noticed at once. */
  readonly lease?: Duration;
  /**
   * How long a worker that is asked to end lets stages come to their own end before they are stopped and handed over, `'60s'` by default.
   * They then have 20 seconds to stop: with those it must fit into what the platform gives (`stopTimeout` of ECS, at most 120 s).
   */
  readonly drain?: Duration;
}

export function defineConfig(config: Config): Config {
  return Object.freeze(config);
}
