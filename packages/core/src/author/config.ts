import type { Setting } from '../connector/index.ts';

/** Where a project's pipelines are and in which environments they run. The default export of `millrace.config.ts`. */
export interface Config {
  /** A glob, relative to the config file. */
  readonly pipelines: string;
  readonly environments: Readonly<Record<string, Environment>>;
}

export interface Environment {
  /** Looked at in this order. `.env` is a file beside the config; `env` the process environment; `aws:prefix/` AWS Secrets Manager. */
  readonly secrets?: readonly ('.env' | 'env' | `aws:${string}`)[];
  /** The Postgres that keeps runs. An embedded one under `.millrace/` where it is left out. */
  readonly state?: Setting;
  readonly executor?: 'local' | 'fleet' | 'step-functions';
  /** Stages that run side by side in one process, 2 by default. */
  readonly concurrency?: number;
  /** Memory in MiB that the splits of a process may use together, 256 by default. */
  readonly memory?: number;
}

export function defineConfig(config: Config): Config {
  return Object.freeze(config);
}
