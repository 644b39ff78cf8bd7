import { Command, InvalidArgumentError, Option } from 'commander';
import { does } from './command.ts';
import type { BackfillCreateOptions } from './commands/backfill-create.ts';
import type { DevOptions } from './commands/dev.ts';
import type { PlanOptions } from './commands/plan.ts';
import type { RunStepOptions } from './commands/run-step.ts';
import type { SchedulerCommandOptions } from './commands/scheduler.ts';
import type { WorkerCommandOptions } from './commands/worker.ts';
import { exitCodeMeanings, exitCodes } from './exit-code.ts';
import type { ExecutorKind } from './session.ts';
import { version } from './version.ts';

/** The verbs, their arguments and options. The work of each is imported when it is asked for, so that `--help` is quick. */
export function program(): Command {
  const millrace = new Command('millrace')
    .description('Typed ETL pipelines: plan, run, verify and watch them.')
    .version(version())
    .exitOverride()
    .showHelpAfterError('(millrace --help lists the commands)')
    .addHelpText('after', `\nExit codes:\n${exitCodeLines().join('\n')}`);

  does(verb(millrace, 'init [dir]', 'make a project with one running pipeline, its test and a config'), async (session, [dir]: [string?]) =>
    (await import('./commands/init.ts')).init(session, dir),
  );

  does(
    verb(millrace, 'introspect <connection>', 'write table() declarations from a live database')
      .addHelpText(
        'after',
        '\n<connection> is a URL, the name of a secret (SHOP_URL), or an exported connection of a file (pipelines/nightly.ts:shop).',
      )
      .option('--out <file>', 'write there instead of to stdout')
      .option('--schema <name>', 'only this schema; may be given several times', collect, [])
      .option('--table <name>', 'only this table; may be given several times', collect, []),
    async (session, [connection]: [string], options: { out?: string; schema: string[]; table: string[] }) =>
      (await import('./commands/introspect.ts')).introspect(session, connection, options),
  );

  does(
    verb(millrace, 'plan [pipeline]', 'show steps, stages, lanes, DDL and warnings; without a pipeline, list what is there')
      .option('--diff', `compare with the plan of the last run; exit code ${exitCodes.planChanged} where it has changed`)
      .option('--connect', 'also ask the sources what would be read: window, splits, rows, bytes')
      .addOption(new Option('--executor <executor>', 'also what that executor does otherwise').choices(['step-functions']))
      .option('--cost', 'also what a run costs on Step Functions, at list prices')
      .option('--minutes <n>', 'how long a stage takes, for --cost', atLeastOne, 5),
    async (session, [pipeline]: [string?], options: PlanOptions) => (await import('./commands/plan.ts')).plan(session, pipeline, options),
  );

  does(
    verb(millrace, 'graph <pipeline>', 'draw the pipeline')
      .addOption(new Option('--format <format>', 'what to draw').choices(['mermaid', 'svg', 'json']).default('mermaid'))
      .option('--out <file>', 'write there instead of to stdout'),
    async (session, [pipeline]: [string], options: { format: 'mermaid' | 'svg' | 'json'; out?: string }) =>
      (await import('./commands/graph.ts')).graph(session, pipeline, options),
  );

  does(
    verb(millrace, 'compile <pipeline>', 'write the state machine, its policy and a CloudFormation template; calls nobody')
      .addOption(new Option('--to <executor>', 'what for').choices(['step-functions']).makeOptionMandatory())
      .option('--out <dir>', 'where to; .millrace/step-functions/<pipeline> where it is left out'),
    async (session, [pipeline]: [string], options: { out?: string }) =>
      (await import('./commands/compile.ts')).compileTo(session, pipeline, options),
  );

  does(
    verb(
      millrace,
      'deploy <pipeline>',
      `show what deploying to Step Functions would change; exit code ${exitCodes.planChanged} where it would`,
    ).option('--apply', 'change it, by a change set of CloudFormation'),
    async (session, [pipeline]: [string], options: { apply?: true }) =>
      (await import('./commands/deploy.ts')).deploy(session, pipeline, options),
  );

  does(
    elsewhere(
      verb(millrace, 'run <pipeline>', 'run it here, on a fleet or on Step Functions, with live progress; an unfinished run is continued'),
    )
      .option('--date <date>', 'the day (or ISO time) the run is for; now where it is left out')
      .option('--window <a..b>', 'the time range the run is for')
      .option('--param <k=v>', 'a parameter; may be given several times', collectParam, {})
      .option('--from <step>', 'begin there: the stages before it count as done')
      .option('--only <step>', 'only the stage of this step; may be given several times', collect, [])
      .option('--full-refresh', 'read everything again, whatever the watermarks say')
      .option('--new', 'give an unfinished run up and begin another')
      .addOption(new Option('--until <when>', 'end a stream when it has everything that was there when it began').choices(['caught-up'])),
    async (session, [pipeline]: [string], options: RunOptions) => (await import('./commands/run.ts')).run(session, pipeline, options),
    { drains: true },
  );

  does(
    verb(millrace, 'dev', 'schedules, triggers and runs of the project on this machine, reloading what changes; Ctrl-C drains')
      .option('--listen <port>', 'also start runs by HTTP, for callers that know the secret MILLRACE_TRIGGER_TOKEN', whole)
      .option('--http <port>', 'serve /health, /ready and /metrics there', whole)
      .option('--host <address>', 'where to listen; 127.0.0.1 where it is left out'),
    async (session, _: [], options: DevOptions) => (await import('./commands/dev.ts')).dev(session, options),
    { drains: true },
  );

  does(
    verb(millrace, 'worker', "work for the environment's fleet until SIGTERM or Ctrl-C, which drain it")
      .option('--concurrency <n>', 'stages side by side; the environment says it where it is left out', whole)
      .option('--http <port>', 'serve /health, /ready and /metrics there', whole)
      .option('--host <host>', 'where to listen; 127.0.0.1 where it is left out'),
    async (session, _: [], options: WorkerCommandOptions) => (await import('./commands/worker.ts')).worker(session, options),
    { drains: true },
  );

  does(
    verb(
      millrace,
      'run-step [pipeline]',
      'one stage for a state machine, whose task says by its environment which; compile and deploy make it',
    )
      .option('--stage <id>', 'the stage')
      .option('--activity <arn>', 'ask this activity for stages instead, until SIGTERM or Ctrl-C')
      .option('--concurrency <n>', 'with --activity: stages side by side', atLeastOne, 1),
    async (session, [pipeline]: [string?], options: RunStepOptions) =>
      (await import('./commands/run-step.ts')).runStep(session, pipeline, options),
    { drains: true },
  );

  does(
    verb(millrace, 'scheduler', 'make runs when their time or their event has come, until SIGTERM or Ctrl-C; any number may do it')
      .option('--listen <port>', 'also start runs by HTTP, for callers that know the secret MILLRACE_TRIGGER_TOKEN', whole)
      .option('--http <port>', 'serve /health, /ready and /metrics there', whole)
      .option('--host <address>', 'where to listen; 127.0.0.1 where it is left out')
      .option('--s3-events <url>', 'a queue of SQS that tells of new objects, so that onFiles() need not wait for a listing'),
    async (session, _: [], options: SchedulerCommandOptions) => (await import('./commands/scheduler.ts')).scheduler(session, options),
    { drains: true },
  );

  const schedule = verb(millrace, 'schedule', 'what the schedulers do');
  does(verb(schedule, 'list', 'schedules, their next time and what came of the last'), async (session) =>
    (await import('./commands/schedule-list.ts')).scheduleList(session),
  );
  does(
    verb(schedule, 'pause <pipeline>', 'make no runs by its schedule or trigger until it is resumed'),
    async (session, [pipeline]: [string]) => (await import('./commands/schedule-pause.ts')).schedulePause(session, pipeline, true),
  );
  does(
    verb(schedule, 'resume <pipeline>', 'go on; times that passed are made up for as catchUp says'),
    async (session, [pipeline]: [string]) => (await import('./commands/schedule-pause.ts')).schedulePause(session, pipeline, false),
  );
  does(
    verb(schedule, 'trigger <pipeline>', 'ask the schedulers for a run now')
      .option('--date <date>', 'the day (or ISO time) the run is for; now where it is left out')
      .option('--param <k=v>', 'a parameter; may be given several times', collectParam, {}),
    async (session, [pipeline]: [string], options: { date?: string; param: Record<string, string> }) =>
      (await import('./commands/schedule-trigger.ts')).scheduleTrigger(session, pipeline, options),
  );

  does(
    verb(schedule, 'forget <pipeline>', 'of a pipeline that is gone: its times and events; what has run stays in the history'),
    async (session, [pipeline]: [string]) => (await import('./commands/schedule-forget.ts')).scheduleForget(session, pipeline),
  );

  const backfill = verb(millrace, 'backfill', 'run a pipeline for each part of a range');
  does(
    verb(backfill, 'create <pipeline>', 'a run for each day, hour, week or month of a range; the schedulers work on it')
      .requiredOption('--range <a..b>', 'from a up to b, which is not part of it: 2025-01-01..2026-01-01')
      .addOption(
        new Option('--by <unit>', "what one run is for (default: the times of the pipeline's schedule, else a day)").choices([
          'hour',
          'day',
          'week',
          'month',
          'schedule',
        ]),
      )
      .addOption(new Option('--order <order>', 'which come first').choices(['oldest', 'newest']).default('oldest'))
      .option('--max-parallel <n>', 'runs at a time', atLeastOne, 4)
      .option('--param <k=v>', 'a parameter of each run; may be given several times', collectParam, {})
      .option('--full-refresh', 'read everything again, whatever the watermarks say')
      .option('--dry-run', 'only say how many runs it would be'),
    async (session, [pipeline]: [string], options: BackfillCreateOptions) =>
      (await import('./commands/backfill-create.ts')).backfillCreate(session, pipeline, options),
  );
  does(
    verb(backfill, 'list', 'backfills, newest first')
      .option('--pipeline <name>', 'only of this pipeline')
      .option('--limit <n>', 'how many', whole, 20),
    async (session, _: [], options: { pipeline?: string; limit: number }) =>
      (await import('./commands/backfill-list.ts')).backfillList(session, options),
  );
  does(
    verb(backfill, 'show [backfill]', 'how far it is, what runs and what has failed; the last one by default').option(
      '--all',
      'every item',
    ),
    async (session, [wanted]: [string?], options: { all?: true }) =>
      (await import('./commands/backfill-show.ts')).backfillShow(session, wanted, options),
  );
  does(
    verb(backfill, 'resume <backfill>', 'do what was cancelled or has failed after all').option('--only-failed', 'not what was cancelled'),
    async (session, [wanted]: [string], options: { onlyFailed?: true }) =>
      (await import('./commands/backfill-control.ts')).backfillResume(session, wanted, options),
  );
  does(verb(backfill, 'cancel <backfill>', 'begin nothing more, and stop what runs'), async (session, [wanted]: [string]) =>
    (await import('./commands/backfill-control.ts')).backfillCancel(session, wanted),
  );

  const runs = verb(millrace, 'runs', 'history and control of runs');
  does(
    elsewhere(verb(runs, 'list', 'runs, newest first'))
      .option('--pipeline <name>', 'only of this pipeline')
      .addOption(
        new Option('--state <state>', 'only in this state').choices(['queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled']),
      )
      .option('--limit <n>', 'how many', whole, 20),
    async (session, _: [], options: RunsOptions & { pipeline?: string; state?: string; limit: number }) =>
      (await import('./commands/runs-list.ts')).runsList(session, options),
  );
  does(
    elsewhere(
      verb(runs, 'show [run]', 'one run: stages, attempts, errors with remedies, receipts, and why it waits; the last one by default'),
    ),
    async (session, [run]: [string?], options: RunsOptions) => (await import('./commands/runs-show.ts')).runsShow(session, run, options),
  );
  does(
    elsewhere(verb(runs, 'logs [run]', 'what its stages have logged'))
      .option('--stage <id>', 'only of this stage')
      .option('--follow', 'go on until the run ends'),
    async (session, [run]: [string?], options: RunsOptions & { stage?: string; follow?: true }) =>
      (await import('./commands/runs-logs.ts')).runsLogs(session, run, options),
  );
  does(
    elsewhere(verb(runs, 'watch [run]', 'live progress of a run that another process works on; its exit code')),
    async (session, [run]: [string?], options: RunsOptions) => (await import('./commands/runs-watch.ts')).runsWatch(session, run, options),
  );
  does(elsewhere(verb(runs, 'cancel <run>', 'ask for its end')), async (session, [run]: [string], options: RunsOptions) =>
    (await import('./commands/runs-cancel.ts')).runsCancel(session, run, options),
  );
  does(
    elsewhere(verb(runs, 'retry <run>', 'go on with a run that failed, was cancelled or was left unfinished')).option(
      '--from <step>',
      'also again what had succeeded from there on; loads stay applied once',
    ),
    async (session, [run]: [string], options: RunsOptions & { from?: string }) =>
      (await import('./commands/runs-retry.ts')).runsRetry(session, run, options),
    { drains: true },
  );

  does(
    verb(
      millrace,
      'status [pipeline]',
      'workers, what runs and waits, schedules, and pipelines that follow changes with lag, slot and warnings',
    ).option('--watch', 'again and again, until Ctrl-C'),
    async (session, [pipeline]: [string?], options: { watch?: true }) =>
      (await import('./commands/status.ts')).status(session, pipeline, options),
  );

  does(
    verb(millrace, 'resync <pipeline>', 'copy tables again: all of them, or some while the stream goes on')
      .option('--table <name>', 'only this table of the capture; may be given several times', collect, [])
      .option('--yes', 'do not ask'),
    async (session, [pipeline]: [string], options: { table: string[]; yes?: true }) =>
      (await import('./commands/resync.ts')).resync(session, pipeline, options),
    { drains: true },
  );

  does(
    verb(millrace, 'verify <pipeline>', 'compare what was loaded with the source, down to the rows that differ')
      .option('--target <step>', 'only this load; may be given several times', collect, [])
      .option('--rows <n>', 'how many differing rows to show for a target', whole, 10),
    async (session, [pipeline]: [string], options: { target: string[]; rows: number }) =>
      (await import('./commands/verify.ts')).verify(session, pipeline, options),
  );

  does(
    verb(millrace, 'doctor [pipeline]', 'check connections, captures, secrets, permissions and versions; says what to do').option(
      '--fix',
      'do what is safe to do, and check again',
    ),
    async (session, [pipeline]: [string?], options: { fix?: true }) =>
      (await import('./commands/doctor.ts')).doctor(session, pipeline, options),
  );
  return millrace;
}

export interface RunsOptions {
  readonly executor?: ExecutorKind;
}

export interface RunOptions extends RunsOptions {
  readonly date?: string;
  readonly window?: string;
  readonly param: Readonly<Record<string, string>>;
  readonly from?: string;
  readonly only: readonly string[];
  readonly fullRefresh?: true;
  readonly new?: true;
  readonly until?: 'caught-up';
}

function verb(parent: Command, nameAndArguments: string, description: string): Command {
  const path = [parent.name(), nameAndArguments.split(' ')[0]].join(' ').replace(/^(?!millrace)/, 'millrace ');
  return parent.command(nameAndArguments).description(description).exitOverride().showHelpAfterError(`(${path} --help)`);
}

/** For verbs that start runs or look at them: which executor, where that is not the environment's. */
const elsewhere = (command: Command): Command =>
  command.addOption(
    new Option('--executor <executor>', 'where runs are; the environment says it where it is left out').choices([
      'local',
      'fleet',
      'step-functions',
    ] satisfies ExecutorKind[]),
  );

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

function collectParam(value: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Write it as name=value.');
  return { ...before, [value.slice(0, at)]: value.slice(at + 1) };
}

function whole(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('It is a whole number.');
  return Number(value);
}

function atLeastOne(value: string): number {
  const number = whole(value);
  if (number < 1) throw new InvalidArgumentError('It is at least 1.');
  return number;
}

function exitCodeLines(): string[] {
  return Object.entries(exitCodes).map(
    ([name, code]) => `  ${code.toString().padStart(3)}  ${exitCodeMeanings[name as keyof typeof exitCodes]}`,
  );
}
