import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Context, type Environment, MillraceError, type Setting } from '@millrace/core/runtime';
import type { StepFunctionsExecutor } from '@millrace/step-functions';
import {
  environmentSecrets,
  type FleetExecutor,
  fleetExecutor,
  type LocalExecutor,
  type LocalOptions,
  localExecutor,
  outsideContext,
  type RunViews,
  type Secrets,
  type StateAddress,
} from '@millrace/worker';
import { createDatabase, type EmbeddedPostgres, embeddedPostgres } from './embedded/index.ts';
import { openProject, type Project } from './project/config.ts';
import { readDotenv, secretSources } from './project/dotenv.ts';
import { embeddedNames, isEmbeddedUrl, openEmbedded } from './project/embedded-url.ts';
import type { Terminal } from './terminal.ts';

/** By the environment: runs here, on a fleet, or as executions of state machines. */
export type ProjectExecutor = LocalExecutor | FleetExecutor | StepFunctionsExecutor<RunViews>;

export type ExecutorKind = ProjectExecutor['kind'];

export interface SessionOptions {
  readonly config?: string | undefined;
  readonly env?: string | undefined;
}

/** What one command uses: the project, and what is opened when it is first asked for and closed at the end. */
export class Session implements AsyncDisposable {
  readonly terminal: Terminal;
  /** Where the command was called; the process itself then works in the project's root. */
  readonly calledFrom: string;
  readonly signal: AbortSignal;
  /** Rejects when the embedded Postgres ends under the command's feet: then no answer is to be waited for. */
  readonly lost: Promise<never>;
  #lose: (reason: unknown) => void = () => {};
  readonly #options: SessionOptions;
  readonly #closing: (() => unknown)[] = [];
  #project: Promise<Project> | undefined;
  #embedded: Promise<EmbeddedPostgres> | undefined;
  #secrets: Promise<Secrets> | undefined;
  #executor: Promise<ProjectExecutor> | undefined;
  #spool: string | undefined;

  constructor(terminal: Terminal, signal: AbortSignal, options: SessionOptions = {}) {
    this.terminal = terminal;
    this.calledFrom = process.cwd();
    this.signal = signal;
    this.#options = options;
    this.lost = new Promise<never>((_, reject) => {
      this.#lose = reject;
    });
    this.lost.catch(() => {}); // a command that has ended does not care
  }

  project(): Promise<Project> {
    this.#project ??= openProject({ from: this.calledFrom, ...this.#options }).then((project) => {
      process.chdir(project.root);
      readDotenv(project);
      return project;
    });
    return this.#project;
  }

  /** Where the project's own files go: state, logs, spool. @throws CONFIG_INVALID */
  async directory(): Promise<string> {
    const directory = join((await this.project()).root, '.millrace');
    try {
      mkdirSync(directory, { recursive: true });
      accessSync(directory, constants.W_OK);
    } catch (cause) {
      throw new MillraceError('CONFIG_INVALID', {
        message: `The project's own folder cannot be used: ${(cause as Error).message}`,
        remedy: `Let ${directory} be a folder in which this user may write; it may be a link, or a volume of its own.`,
        cause,
      });
    }
    return directory;
  }

  embedded(): Promise<EmbeddedPostgres> {
    this.#embedded ??= this.directory().then(async (directory) => {
      const server = await embeddedPostgres({ directory: join(directory, 'postgres'), signal: this.signal });
      server.lost.addEventListener('abort', () => this.#lose(server.lost.reason), { once: true });
      this.#closing.push(() => server[Symbol.asyncDispose]());
      return server;
    });
    return this.#embedded;
  }

  /** Looks secrets up. Values that name embedded databases are their URLs from here on, in this process and in those it starts. */
  secrets(): Promise<Secrets> {
    this.#secrets ??= this.project().then(async (project) => {
      for (const name of embeddedNames()) process.env[name] = await this.#embeddedUrl(process.env[name] as string);
      return environmentSecrets({ directory: project.root, sources: secretSources(project) });
    });
    return this.#secrets;
  }

  /** A context for connectors outside any run. */
  async context(): Promise<Context> {
    const secrets = await this.secrets();
    if (this.#spool === undefined) {
      const spool = mkdtempSync(join(await this.directory(), 'spool-'));
      this.#closing.push(() => rmSync(spool, { recursive: true, force: true }));
      this.#spool = spool;
    }
    return outsideContext({ secrets, signal: this.signal, spool: this.#spool });
  }

  /** The database that keeps runs: `MILLRACE_STATE_URL`, else what the environment says, else an embedded one. */
  async stateDatabase(): Promise<StateAddress> {
    const project = await this.project();
    await this.secrets(); // .env may name it
    const setting: Setting | undefined = process.env['MILLRACE_STATE_URL'] || project.environment.state;
    if (setting === undefined) return createDatabase((await this.embedded()).url, 'millrace');
    return this.database(setting);
  }

  /** A database as the parts of this process that are no connectors dial it. */
  async database(setting: Setting): Promise<StateAddress> {
    const value = typeof setting === 'string' ? setting : await (await this.secrets()).get(setting);
    if (isEmbeddedUrl(value)) return this.#embeddedUrl(value);
    if (saysItAll(value) && !isKeptByService(setting, await this.project())) return value;
    const { databaseLogin } = await import('@millrace/connectors/postgres');
    return databaseLogin(setting, await this.context());
  }

  /** What those who run stages take from the environment. */
  async workingEnvironment(): Promise<Pick<Environment, 'secrets' | 'concurrency' | 'memory' | 'pools'>> {
    const project = await this.project();
    const { concurrency, memory, pools } = project.environment;
    return {
      secrets: secretSources(project),
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(memory === undefined ? {} : { memory }),
      ...(pools === undefined ? {} : { pools }),
    };
  }

  /** The one of this command, the environment's where no `kind` is given; what is given with the first call counts. */
  executor({ kind, ...how }: ExecutorChoice = {}): Promise<ProjectExecutor> {
    this.#executor ??= this.project().then(async (project) => {
      const executor = await this.#openExecutor(kind ?? project.environment.executor ?? 'local', project, how);
      this.#closing.push(() => executor[Symbol.asyncDispose]());
      return executor;
    });
    return this.#executor;
  }

  async #openExecutor(kind: ExecutorKind, project: Project, { watch, trace, fileOf }: ExecutorChoice): Promise<ProjectExecutor> {
    const { fleet, pools } = project.environment;
    switch (kind) {
      case 'step-functions': {
        const { machinesExecutor } = await import('./step-functions/executor.ts');
        return machinesExecutor(project, () => this.stateDatabase(), watch);
      }
      case 'fleet':
        return fleetExecutor({
          state: await this.stateDatabase(),
          ...(fleet?.name !== undefined && { fleet: fleet.name }),
          ...(pools && { pools }),
          ...(watch && { watch }),
        });
      case 'local':
        return localExecutor({
          state: await this.stateDatabase(),
          directory: project.root,
          environment: await this.workingEnvironment(),
          ...(watch && { watch }),
          ...(trace && { trace }),
          ...(fileOf && { fileOf }),
        });
      default:
        return kind satisfies never;
    }
  }

  /** For as long as the command goes on: closed before the Postgres that it uses. */
  keep<T extends AsyncDisposable>(opened: T): T {
    this.#closing.push(() => opened[Symbol.asyncDispose]());
    return opened;
  }

  /** Takes what must not be seen out of a text, or out of the texts of plain data. */
  async redact<T>(value: T): Promise<T> {
    const secrets = await this.#secrets?.catch(() => undefined);
    return secrets ? secrets.redactAll(value) : value;
  }

  async #embeddedUrl(value: string): Promise<string> {
    return openEmbedded((await this.embedded()).url, value);
  }

  /** Closes what was opened last first: the executor before the Postgres it writes to. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }
}

/** Which executor, where that is not the environment's; and what only those that run stages here take. */
type ExecutorChoice = Pick<LocalOptions, 'watch' | 'trace' | 'fileOf'> & { readonly kind?: ExecutorKind | undefined };

/** A URL that the driver can use as it is. What else may stand there is the business of `parseAddress` in the connectors. */
const saysItAll = (url: string): boolean => !/\.amazonaws\.com\b|[?&](auth|login|hostaddr)=|^\s*\{/i.test(url);

const isKeptByService = (setting: Setting, { environment: { secrets = [] } }: Project): boolean =>
  typeof setting !== 'string' && (setting.name.startsWith('arn:') || secrets.some((place) => typeof place === 'object'));
