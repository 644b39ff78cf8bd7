import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Config, type Environment, MillraceError } from '@millrace/core';
import { alertsProblem } from './alerts-config.ts';
import { importModule } from './module.ts';
import { stepFunctionsProblem } from './step-functions-config.ts';

/** A folder with a `millrace.config.ts`, seen from one of its environments. */
export interface Project {
  /** Everything relative is relative to this: pipeline globs, `.env`, `file:` URLs, `.millrace/`. */
  readonly root: string;
  /** Null where there is none: a pipeline file alone is a project too. */
  readonly configFile: string | null;
  readonly config: Config;
  readonly environmentName: string;
  readonly environment: Environment;
}

const names = ['ts', 'mts', 'js', 'mjs'].map((extension) => `millrace.config.${extension}`);
const withoutConfig: Config = { pipelines: 'pipelines/*.ts', environments: { local: {} } };

/**
 * Finds the config in `from` or above it and picks the environment: `--env`, else `MILLRACE_ENV`, else `local`, else the only one.
 *
 * @throws CONFIG_INVALID
 */
export async function openProject(options: { from: string; config?: string | undefined; env?: string | undefined }): Promise<Project> {
  const configFile = options.config === undefined ? findConfig(resolve(options.from)) : givenConfig(resolve(options.from, options.config));
  const config =
    configFile === null ? withoutConfig : parseConfig(((await importModule(configFile)) as { default?: unknown }).default, configFile);
  const environmentName = chooseEnvironment(config, options.env ?? process.env['MILLRACE_ENV']);
  return {
    root: configFile === null ? rootWithoutConfig(resolve(options.from)) : dirname(configFile),
    configFile,
    config,
    environmentName,
    environment: config.environments[environmentName] as Environment,
  };
}

function findConfig(from: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = names.map((name) => join(folder, name)).find((file) => existsSync(file));
    if (found !== undefined) return found;
    if (dirname(folder) === folder) return null;
  }
}

function givenConfig(path: string): string {
  const file = existsSync(path) && statSync(path).isDirectory() ? names.map((name) => join(path, name)).find(existsSync) : path;
  if (file !== undefined && existsSync(file)) return file;
  throw invalid(`There is no config at ${path}.`, 'Name a millrace.config.ts, or the folder it stands in.');
}

/** The nearest folder with a package.json, so that state does not scatter over the folders commands are called from. */
function rootWithoutConfig(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (dirname(folder) === folder) return from;
  }
}

function chooseEnvironment(config: Config, wanted: string | undefined): string {
  const known = Object.keys(config.environments);
  const name = wanted || (known.includes('local') || known.length !== 1 ? 'local' : (known[0] as string));
  if (known.includes(name)) return name;
  throw invalid(
    `There is no environment "${name}"; the config has ${known.join(', ') || 'none'}.`,
    `Choose one with --env, or add "${name}" to environments.`,
  );
}

const environmentFields = ['secrets', 'state', 'executor', 'fleet', 'stepFunctions', 'pools', 'concurrency', 'memory', 'alerts'];

/** Says by name what is wrong, since a config in JavaScript has no type checker before it. */
export function parseConfig(value: unknown, file: string): Config {
  const where = (what: string, remedy: string) => invalid(`${file}: ${what}`, remedy);
  if (!isObject(value)) throw where('it has no default export.', 'Write: export default defineConfig({ pipelines, environments }).');
  if (typeof value['pipelines'] !== 'string') throw where('"pipelines" is not a glob.', "Write for example: pipelines: 'pipelines/*.ts'.");
  if (!isObject(value['environments']) || Object.keys(value['environments']).length === 0) {
    throw where('"environments" is missing.', 'Write for example: environments: { local: {} }.');
  }
  for (const [name, environment] of Object.entries(value['environments'])) {
    if (!isObject(environment))
      throw where(`environment "${name}" is not an object.`, `Write for example: ${name}: { secrets: ['.env'] }.`);
    const problem = environmentProblem(environment);
    if (problem) throw where(`environment "${name}": ${problem}`, 'See Environment in @millrace/core for what may stand there.');
  }
  return value as unknown as Config;
}

function environmentProblem(environment: Record<string, unknown>): string | undefined {
  const unknown = Object.keys(environment).find((field) => !environmentFields.includes(field));
  if (unknown !== undefined) return `"${unknown}" is not a setting; there are ${environmentFields.join(', ')}.`;
  const { secrets, executor, concurrency, memory, pools = {} } = environment;
  const places = Array.isArray(secrets) ? secrets : secrets === undefined ? [] : [secrets];
  const place = places.find((one) => !isSecretPlace(one));
  if (place !== undefined)
    return `secrets cannot come from ${JSON.stringify(place)}; there are ".env", "env", { secretsManager: "prod/" } and { parameterStore: "/prod/" }.`;
  if (executor !== undefined && !['local', 'fleet', 'step-functions'].includes(executor as string))
    return `there is no executor ${JSON.stringify(executor)}.`;
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && (concurrency as number) > 0))
    return '"concurrency" is not a positive whole number.';
  if (memory !== undefined && !(typeof memory === 'number' && memory >= 64)) return '"memory" is in MiB and at least 64.';
  const fleetFault = fleetProblem(environment['fleet']);
  if (fleetFault !== undefined) return fleetFault;
  if (!isObject(pools) || Object.values(pools).some((size) => !(Number.isInteger(size) && (size as number) > 0)))
    return '"pools" is not an object of positive whole numbers.';
  return stepFunctionsProblem(environment['stepFunctions']) ?? alertsProblem(environment['alerts']);
}

function isSecretPlace(place: unknown): boolean {
  if (!isObject(place)) return place === '.env' || place === 'env';
  const { region = '', ...where } = place;
  const [kind = '', ...more] = Object.keys(where);
  return (
    (kind === 'secretsManager' || kind === 'parameterStore') &&
    more.length === 0 &&
    typeof where[kind] === 'string' &&
    typeof region === 'string'
  );
}

const fleetFields = ['name', 'dispatch', 'lease', 'drain'];

function fleetProblem(fleet: unknown): string | undefined {
  if (fleet === undefined) return undefined;
  if (!isObject(fleet)) return '"fleet" is not an object.';
  const unknown = Object.keys(fleet).find((field) => !fleetFields.includes(field));
  if (unknown !== undefined) return `"fleet.${unknown}" is not a setting; there are ${fleetFields.join(', ')}.`;
  const { dispatch = 'notify' } = fleet;
  for (const field of ['lease', 'drain']) {
    const { [field]: duration = '60s' } = fleet;
    if (typeof duration !== 'string' || !/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(duration))
      return `"fleet.${field}" is not a duration like "60s".`;
  }
  if (dispatch === 'notify' || dispatch === 'bullmq-postgres' || (isObject(dispatch) && 'redis' in dispatch)) return undefined;
  return '"fleet.dispatch" is none of "notify", "bullmq-postgres" and { redis: … }.';
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function invalid(message: string, remedy: string): MillraceError {
  return new MillraceError('CONFIG_INVALID', { message, remedy });
}
