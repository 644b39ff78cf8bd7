import type { CronOptions, Schedule } from '../author/index.ts';
import type { Plan, PlanStage, PlanStep } from './plan.ts';

export interface RenderOptions {
  /** Wraps text in a style; the identity where there is no terminal. */
  readonly style?: (style: 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan', text: string) => string;
}

/** A plan for people: its stages in order, each with its lane and the reason, its steps, and what it would create. */
export function renderPlan(plan: Plan, { style = (_, text) => text }: RenderOptions = {}): string {
  const steps = new Map(plan.steps.map((step) => [step.name, step]));
  const lines = [
    `${style('bold', plan.pipeline)}  ${style('dim', `runs ${scheduleText(plan.schedule)} · plan ${plan.fingerprint.slice(0, 12)}`)}`,
  ];
  for (const [index, stage] of plan.stages.entries()) lines.push('', ...stageLines(index + 1, stage, steps, style));
  if (plan.warnings.length > 0) {
    lines.push('', style('yellow', 'Warnings'));
    for (const { message, remedy } of plan.warnings) lines.push(`  ${message} ${style('dim', remedy)}`);
  }
  return `${lines.join('\n')}\n`;
}

function stageLines(
  number: number,
  stage: PlanStage,
  steps: ReadonlyMap<string, PlanStep>,
  style: NonNullable<RenderOptions['style']>,
): string[] {
  const needs = stage.needs.length > 0 ? `after ${stage.needs.join(', ')}` : '';
  const lines = [
    `${style('bold', `${number}. ${stage.id}`)}  ${style('cyan', stage.lane)} lane: ${stage.reason}${needs && style('dim', ` · ${needs}`)}`,
  ];
  const width = Math.max(...stage.steps.map((name) => name.length));
  for (const name of stage.steps) {
    const step = steps.get(name);
    if (!step) continue;
    const where = stage.absorbed.includes(name) ? style('green', '  in the source query') : '';
    lines.push(`   ${name.padEnd(width)}  ${step.does}${where}`);
    for (const edge of step.edges.filter(({ fidelity }) => fidelity === 'widening')) {
      lines.push(style('dim', `   ${' '.repeat(width)}    ${edge.column}: ${edge.from} → ${edge.to} (widening)`));
    }
    for (const line of detailLines(step)) lines.push(style('dim', `   ${' '.repeat(width)}    ${line}`));
    // Tables of one target share their schema.
    for (const statement of new Set(step.ddl)) {
      lines.push(...statement.split('\n').map((line) => style('dim', `   ${' '.repeat(width)}    ${line}`)));
    }
  }
  return lines;
}

function detailLines(step: PlanStep): string[] {
  if (step.kind === 'capture') return captureLines(step);
  if (step.kind === 'remote') return remoteLines(step);
  return step.kind === 'load' ? loadLines(step) : [];
}

/** What holds for rows that come twice or late, where that is not a matter of course. */
function loadLines({ description }: PlanStep): string[] {
  const { guarantee, promise } = description as { guarantee: 'exactly-once' | 'at-least-once'; promise?: string };
  const says = guarantee.replaceAll('-', ' ');
  if (promise !== undefined) return [`${says}: ${promise}`];
  return guarantee === 'exactly-once' ? [] : [says];
}

/** With what the service is called, and whether a start whose answer is lost is made twice. */
function remoteLines({ description }: PlanStep): string[] {
  const { parameters, region, starts } = description as { parameters: object; region: string | null; starts: 'once' | 'at-least-once' };
  return [
    ...(region === null ? [] : [`in ${region}`]),
    ...(Object.keys(parameters).length > 0 ? [JSON.stringify(parameters)] : []),
    ...(starts === 'once' ? [] : ['started at least once: the service cannot tell a start that is repeated after a lost answer']),
  ];
}

/** What a capture does beside what its step says in one line. */
function captureLines({ description }: PlanStep): string[] {
  const { tables, snapshot, schemaChanges } = description as {
    tables: readonly string[];
    snapshot: 'initial' | 'never';
    schemaChanges: Readonly<Record<string, string>>;
  };
  const policy = Object.entries(schemaChanges).map(([change, does]) => `${change}: ${does}`);
  return [
    ...(tables.length > 4 ? [tables.join(', ')] : []),
    snapshot === 'initial' ? 'copies the tables first, then follows their changes' : 'follows changes from its start on, without a copy',
    `columns that change at the source: ${policy.join(', ')}`,
  ];
}

/** `at 0 2 * * * Europe/Paris`, `after nightly-orders` */
export function scheduleText(schedule: Schedule): string {
  switch (schedule.kind) {
    case 'cron':
      return ['at', schedule.expression, schedule.timeZone, ...policies(schedule)].join(' ');
    case 'files':
      return `when files match ${schedule.pattern}`;
    case 'notify':
      return schedule.changes ? `when ${schedule.changes.tables.join(', ')} change` : `on NOTIFY ${schedule.channel}`;
    case 'success':
      return `after ${schedule.of}`;
    case 'manual':
      return 'when asked';
    case 'continuous':
      return 'continuously';
    default:
      return schedule satisfies never;
  }
}

function policies({ catchUp, overlap, within }: CronOptions): string[] {
  return [...(catchUp ? [`catchUp ${catchUp}`] : []), ...(overlap ? [`overlap ${overlap}`] : []), ...(within ? [`within ${within}`] : [])];
}
