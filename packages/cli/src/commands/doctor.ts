import {
  type Connection,
  type Context,
  compile,
  type Finding,
  isMillraceError,
  type Pipeline,
  type SecretRef,
  type Step,
} from '@millrace/core/runtime';
import { clientOf } from '@millrace/worker';
import pg from 'pg';
import { type ExitCode, exitCodeOf, exitCodes } from '../exit-code.ts';
import { isConnection } from '../project/connection.ts';
import { findPipeline, listPipelines } from '../project/pipelines.ts';
import type { Session } from '../session.ts';
import { storedError } from '../text/failure.ts';
import { alignedTable } from '../text/table.ts';
import { onOneLine } from '../text/width.ts';

interface Examined extends Finding {
  /** What a script may branch on: the exit code this problem would end a run with. */
  readonly exit?: ExitCode;
}

export async function doctor(session: Session, wanted: string | undefined, options: { readonly fix?: true } = {}): Promise<ExitCode> {
  const project = await session.project();
  const findings: Examined[] = [
    nodeVersion(),
    {
      subject: 'project',
      level: 'ok',
      message: `${project.configFile ?? `${project.root} (no millrace.config.ts)`}, environment "${project.environmentName}"`,
    },
  ];
  const pipelines: Pipeline[] = [];
  if (wanted !== undefined) pipelines.push((await findPipeline(project, wanted, session.calledFrom)).pipeline);
  else {
    for (const { file, loaded, error } of await listPipelines(project)) {
      if (loaded) pipelines.push(loaded.pipeline);
      else findings.push(problem(file, error));
    }
  }
  for (const pipeline of pipelines) findings.push(compiles(pipeline));
  const context = await attempt('secrets', () => session.context(), findings);
  if (context) {
    findings.push(...(await secretsPresent(pipelines, context)));
    const looked = await examineAll(pipelines, context);
    const fixed = options.fix ? await fixes(looked) : [];
    findings.push(...fixed, ...(fixed.length > 0 ? await examineAll(pipelines, context) : looked));
  }
  findings.push(await stateDatabase(session));
  const shown = await session.redact(findings);
  show(session, shown);
  return (
    shown.find(({ level }) => level === 'problem')?.exit ??
    (shown.some(({ level }) => level === 'problem') ? exitCodes.runFailed : exitCodes.ok)
  );
}

function nodeVersion(): Examined {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return { subject: 'node', level: 'ok', message: process.version };
  return {
    subject: 'node',
    level: 'problem',
    message: `${process.version} is too old.`,
    remedy: 'Install Node 20.19 or newer.',
    exit: exitCodes.usage,
  };
}

function compiles(pipeline: Pipeline): Examined {
  try {
    const { stages, warnings } = compile(pipeline);
    const message = `compiles to ${stages.length} stages${warnings.length > 0 ? `, with ${warnings.length} warnings` : ''}`;
    return warnings.length > 0
      ? { subject: pipeline.name, level: 'warning', message, remedy: `"millrace plan ${pipeline.name}" shows them.` }
      : { subject: pipeline.name, level: 'ok', message };
  } catch (error) {
    return problem(pipeline.name, error);
  }
}

/** Every secret that a connection or a transform of the pipelines names. */
async function secretsPresent(pipelines: readonly Pipeline[], context: Context): Promise<Examined[]> {
  const names = new Set<string>();
  for (const pipeline of pipelines) collectSecrets(pipeline.steps, names, new Set());
  const findings: Examined[] = [];
  for (const name of [...names].sort()) {
    const found = await attempt(`secret ${name}`, () => context.secret({ kind: 'secret', name }), findings);
    if (found !== undefined) findings.push({ subject: `secret ${name}`, level: 'ok', message: 'is there' });
  }
  return findings;
}

function collectSecrets(value: unknown, names: Set<string>, seen: Set<unknown>): void {
  // Connections keep their settings to themselves; their labels say secret(NAME).
  if (typeof value === 'string') for (const [, name] of value.matchAll(/\bsecret\(([^()\s]+)\)/g)) names.add(name as string);
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  if ((value as SecretRef).kind === 'secret' && typeof (value as SecretRef).name === 'string') names.add((value as SecretRef).name);
  else for (const item of Object.values(value)) collectSecrets(item, names, seen);
}

/** The connections of sources, targets and execute steps: each system once, however many pipelines talk to it. */
function connectionsOf(pipelines: readonly Pipeline[]): Connection[] {
  const found = new Map<string, Connection>();
  for (const { steps } of pipelines) {
    for (const connection of Object.values(steps).flatMap(stepConnections))
      found.set(`${connection.connector} ${connection.label}`, connection);
  }
  return [...found.values()];
}

function stepConnections({ work }: Step): Connection[] {
  switch (work.kind) {
    case 'extract':
      return [work.selection.connection].filter(isConnection);
    case 'load':
      return [work.target.connection, work.onBadRow === 'fail' ? undefined : work.onBadRow.quarantine.connection].filter(isConnection);
    case 'execute':
      return [work.request.connection];
    case 'transform':
      return work.onBadRow === 'fail' ? [] : [work.onBadRow.quarantine.connection].filter(isConnection);
    case 'capture':
      return [work.source.connection];
    // A service has no connection to examine.
    case 'remote':
    case 'transform-changes':
      return [];
    case 'load-changes':
      return [work.target.connection].filter(isConnection);
    default:
      return work satisfies never;
  }
}

/** Both ends of everything, of captures all that a stream depends on, and of tasks what they would find. */
async function examineAll(pipelines: readonly Pipeline[], context: Context): Promise<Examined[]> {
  const findings: Examined[] = [];
  for (const connection of connectionsOf(pipelines)) {
    const subject = `${connection.connector} ${connection.label}`;
    const found = await attempt(subject, () => connection.examine(context), findings);
    findings.push(...under(subject, connection.label, found ?? []));
  }
  for (const { name, steps } of pipelines) {
    for (const [step, { work }] of Object.entries(steps)) {
      const subject = `${name}: ${step}`;
      if (work.kind === 'execute' && work.request.kind === 'task') {
        const { connection, task } = work.request;
        const found = await attempt(subject, () => connection.tasks().preview(task, { pipeline: name, step }, context), findings);
        findings.push(...under(subject, step, found ?? []));
      }
      if (work.kind !== 'capture') continue;
      const found = await attempt(subject, () => work.source.examine(context, { pipeline: name, step }), findings);
      findings.push(...under(subject, work.source.description.connection, found ?? []));
    }
  }
  return findings;
}

const under = (subject: string, label: string, findings: readonly Finding[]): Finding[] =>
  findings.map((finding) => ({ ...finding, subject: finding.subject === label ? subject : `${subject}: ${finding.subject}` }));

/** Does what the findings offer to do. What was done, and what could not be. */
async function fixes(findings: readonly Examined[]): Promise<Examined[]> {
  const done: Examined[] = [];
  for (const { subject, level, message, fix } of findings) {
    if (level === 'ok' || !fix) continue;
    const failed: Examined[] = [];
    await attempt(subject, fix, failed);
    done.push(failed[0] ?? { subject, level: 'ok', message: `mended: ${message}` });
  }
  return done;
}

async function stateDatabase(session: Session): Promise<Examined> {
  const subject = 'state database';
  try {
    const client = new pg.Client({ ...clientOf(await session.stateDatabase()), connectionTimeoutMillis: 10_000 });
    await client.connect();
    try {
      const { rows } = await client.query(
        "select current_setting('server_version') as version, has_database_privilege(current_database(), 'create') as may_create",
      );
      if (rows[0].may_create) return { subject, level: 'ok', message: `Postgres ${rows[0].version}` };
      return {
        subject,
        level: 'problem',
        message: 'This user may not create the schema "millrace".',
        remedy: 'GRANT CREATE ON DATABASE to this user.',
        exit: exitCodes.usage,
      };
    } finally {
      await client.end();
    }
  } catch (error) {
    if (isMillraceError(error)) return problem(subject, error);
    return {
      subject,
      level: 'problem',
      message: error instanceof Error ? error.message || String(error) : String(error),
      remedy: 'Check MILLRACE_STATE_URL or "state" in the config; leave both out for an embedded Postgres.',
      exit: exitCodes.unavailable,
    };
  }
}

async function attempt<T>(subject: string, work: () => Promise<T>, findings: Examined[]): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    findings.push(problem(subject, error));
    return undefined;
  }
}

function problem(subject: string, error: unknown): Examined {
  const { message, remedy } = storedError(error);
  return { subject, level: 'problem', message, remedy, exit: exitCodeOf(error) };
}

function show({ terminal }: Session, findings: readonly Examined[]): void {
  const { out } = terminal;
  const marks = { ok: out.green('ok'), warning: out.yellow('warning'), problem: out.red('problem') };
  const rows = findings.flatMap(({ subject, level, message, remedy }) => [
    [marks[level], subject, onOneLine(message)],
    ...(remedy === undefined ? [] : [['', '', out.dim(`→ ${onOneLine(remedy)}`)]]),
  ]);
  terminal.print(alignedTable([{ title: '' }, { title: 'subject' }, { title: 'finding' }], rows, out.dim).join('\n'));
  const count = (level: Finding['level']) => findings.filter((finding) => finding.level === level).length;
  const fixable = findings.filter(({ level, fix }) => level !== 'ok' && fix).length;
  const help = fixable > 0 ? ` "millrace doctor --fix" mends ${fixable} of them.` : '';
  terminal.say(
    count('problem') > 0
      ? `${count('problem')} to mend, ${count('warning')} to look at.${help}`
      : count('warning') > 0
        ? `${count('warning')} to look at.${help}`
        : 'All well.',
  );
  terminal.emit({
    findings: findings.map(({ exit: _, fix, ...finding }) => ({ ...finding, fixable: fix !== undefined })),
    problems: count('problem'),
  });
}
