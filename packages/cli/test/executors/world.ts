import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join, relative } from 'node:path';
import { type AwsFake, awsFake } from '../../../../test/aws-fake.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { type RunningTask, type StepFunctionsServer, stepFunctionsServer } from '../../../../test/step-functions-server.ts';
import { type CommandResult, millrace, type RunningCommand, startMillrace } from '../command.ts';
import { testProject } from '../project.ts';
import { files, runs, sourceSql, targetSql } from './project.ts';

export type Kind = 'local' | 'fleet' | 'step-functions';

/** Databases, a lake and a service, and an executor that moves what is in them. */
export interface World extends AsyncDisposable {
  start(...args: readonly string[]): RunningCommand;
  millrace(...args: readonly string[]): Promise<CommandResult>;
  /** Changes the target by hand. */
  mend(sql: string): Promise<unknown>;
  /** Tables of the target with their rows, and its checkpoints. */
  target(): Promise<Readonly<Record<string, unknown>>>;
  /** Files with what is in them; numbers and ids in their names are left out. */
  lake(): readonly string[];
  /** What Glue was asked to do, by whoever asked. */
  jobs(): readonly unknown[];
  /** Deploys the machines of a pipeline as another environment has them. */
  deploy(pipeline: string, environment: string): Promise<void>;
  /** The error with which the newest execution of a run has ended. */
  errorOf(run: string): string | undefined;
}

export async function world(kind: Kind): Promise<World> {
  const databases = await Promise.all([testDatabase(), testDatabase(), testDatabase()]);
  const [shop, warehouse, state] = databases as [TestDatabase, TestDatabase, TestDatabase];
  await Promise.all([shop.sql(sourceSql), warehouse.sql(targetSql)]);
  const project = testProject(files);
  const [lake, markers] = [join(project.root, 'lake'), join(project.root, 'markers')];
  mkdirSync(markers);
  const glue = await glueService();
  const env = {
    SHOP_URL: shop.url,
    WAREHOUSE_URL: warehouse.url,
    STATE_URL: state.url,
    LAKE_URL: `file:${lake}`,
    MARKERS: markers,
    MILLRACE_ENV: kind,
    AWS_ENDPOINT_URL_GLUE: glue.settings.endpoint,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  };
  const behind = await {
    local: async () => noBody,
    fleet: () => fleetWorker({ cwd: project.root, env }),
    'step-functions': () => account({ cwd: project.root, env }),
  }[kind]();
  return {
    start: (...args) => startMillrace(args, { cwd: project.root, env: { ...env, ...behind.env } }),
    millrace: (...args) => millrace(args, { cwd: project.root, env: { ...env, ...behind.env } }),
    mend: (sql) => warehouse.sql(sql),
    target: () => targetOf(warehouse),
    lake: () => lakeOf(lake),
    jobs: () => [...glue.called('StartJobRun').map(withoutRequest), ...behind.jobs()],
    deploy: behind.deploy,
    errorOf: behind.errorOf,
    async [Symbol.asyncDispose]() {
      await behind[Symbol.asyncDispose]();
      await glue[Symbol.asyncDispose]();
      project[Symbol.dispose]();
      await Promise.all(databases.map((database) => database[Symbol.asyncDispose]()));
    },
  };
}

interface Options {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Whoever does what `millrace run` asks for. */
interface Behind extends AsyncDisposable, Pick<World, 'deploy' | 'errorOf'> {
  readonly env: Readonly<Record<string, string>>;
  /** That it has asked a service for itself. */
  jobs(): readonly unknown[];
}

const noBody: Behind = { env: {}, jobs: () => [], async deploy() {}, errorOf: () => undefined, async [Symbol.asyncDispose]() {} };

async function fleetWorker(options: Options): Promise<Behind> {
  const worker = startMillrace(['worker', '--json', '--concurrency', '2'], options);
  await worker.said('"type":"working"');
  return { ...noBody, [Symbol.asyncDispose]: () => ended(worker) };
}

async function ended({ process: child, ended }: RunningCommand): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), 'SIGKILL');
  await ended;
}

/** Step Functions with the machines of all pipelines, and tasks that are processes of the command. */
async function account(options: Options): Promise<Behind> {
  const server: StepFunctionsServer = await stepFunctionsServer({
    startTask: (command, environment) =>
      taskOf(startMillrace(command, { ...options, env: { ...options.env, ...server.environment, ...environment } })),
    native: ({ call }) => (call === 'glue:startJobRun.sync' ? { Id: 'jr_1', JobRunState: 'SUCCEEDED' } : {}),
  });
  const deploy = async (pipeline: string, environment: string): Promise<void> => {
    const compiled = await millrace(['compile', pipeline, '--env', environment, '--to', 'step-functions', '--out', 'aws'], options);
    if (compiled.code !== 0) throw new Error(compiled.stderr);
    server.deploy(JSON.parse(readFileSync(join(options.cwd, 'aws', `${pipeline}.template.json`), 'utf8')));
  };
  for (const pipeline of [...runs.map(({ pipeline }) => pipeline), 'slow']) await deploy(pipeline, 'step-functions');
  return {
    deploy,
    errorOf: (run) => server.error(run),
    env: server.environment,
    jobs: () => server.asked.filter(({ call }) => call.startsWith('glue')).map(({ parameters }) => parameters),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A process of the command as a task of ECS. */
export function taskOf(command: RunningCommand): RunningTask {
  return {
    exitCode: command.ended.then(({ code, signal, stderr }) => {
      if (process.env['MILLRACE_TEST_TASKS']) console.error(stderr);
      return code ?? 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
    }),
    stop: () => void command.process.kill('SIGTERM'),
  };
}

/** A Glue whose jobs are done when somebody looks. */
const glueService = (): Promise<AwsFake> =>
  awsFake({
    StartJobRun: () => ({ JobRunId: 'jr_1' }),
    GetJobRun: () => ({ JobRun: { Id: 'jr_1', JobRunState: 'SUCCEEDED' } }),
    GetJobRuns: () => ({ JobRuns: [] }),
  });

/** By which the connector finds what it has started; a state machine has no need of it. */
function withoutRequest({ Arguments: { '--millrace-request': _, ...Arguments }, ...rest }: { Arguments: Record<string, string> }): unknown {
  return { ...rest, Arguments };
}

async function targetOf(warehouse: TestDatabase): Promise<Readonly<Record<string, unknown>>> {
  const tables = await warehouse.sql("select tablename::text as name from pg_tables where schemaname = 'public' order by 1");
  const found: Record<string, unknown> = {};
  for (const { name } of tables) found[String(name)] = await warehouse.sql(`select * from public."${String(name)}" t order by t::text`);
  found['checkpoints'] = await warehouse.sql(
    "select pipeline, step, checkpoint - 'loadId' as checkpoint from _millrace.checkpoint order by 1, 2",
  );
  return found;
}

/** A manifest says when and by whom it was written; of all else the content counts. */
function lakeOf(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => {
      const content = file.endsWith('.json') ? '' : createHash('sha256').update(readFileSync(file)).digest('hex');
      return `${relative(root, file).replace(/-[0-9a-f]{8}-/, '-*-')} ${content}`;
    })
    .sort();
}
