import type { Pipeline, Step } from '../author/index.ts';
import { MillraceError } from '../error/index.ts';
import { checkGraph } from './check.ts';
import { describeTask } from './describe-task.ts';
import { fingerprint, plainJson } from './fingerprint.ts';
import { graphOf } from './graph.ts';
import type { Plan, PlanStep, Problem } from './plan.ts';
import { describeParameters } from './remote.ts';
import { stagesOf } from './stage.ts';

/**
 * Compiles a pipeline to its plan without connecting to anything.
 *
 * @throws PIPELINE_INVALID with every problem at once, each with its remedy
 */
export function compile(pipeline: Pipeline): Plan {
  const { plan, problems } = check(pipeline);
  if (plan) return plan;
  throw new MillraceError('PIPELINE_INVALID', {
    message: `Pipeline "${pipeline.name}" does not compile:\n${problems.map(({ message, remedy }) => `  - ${message} ${remedy}`).join('\n')}`,
    remedy: problems.length === 1 ? (problems[0] as Problem).remedy : 'Mend each of them and compile again.',
    facts: { problems },
  });
}

/** Every problem of a pipeline, and its plan where there is none. */
export function check(pipeline: Pipeline): { readonly plan: Plan | null; readonly problems: readonly Problem[] } {
  const graph = graphOf(pipeline);
  const found = checkGraph(graph);
  const early = [...graph.problems, ...found.problems];
  if (early.length > 0) return { plan: null, problems: early };
  const staged = stagesOf(graph);
  const problems = staged.problems;
  if (problems.length > 0) return { plan: null, problems };
  const body = {
    version: 1,
    pipeline: pipeline.name,
    schedule: pipeline.runs,
    params: pipeline.params,
    ...(pipeline.concurrency !== undefined && { concurrency: pipeline.concurrency }),
    ...(pipeline.priority !== undefined && { priority: pipeline.priority }),
    steps: graph.order.map((name) => planStep(name, graph.steps.get(name) as Step, graph.names, found.edges.get(name) ?? [])),
    stages: staged.stages,
    warnings: [...found.warnings, ...staged.warnings],
  } as const;
  return { plan: { ...body, fingerprint: fingerprint({ ...body, warnings: [] }) }, problems };
}

function planStep(name: string, step: Step, names: ReadonlyMap<Step, string>, edges: PlanStep['edges']): PlanStep {
  const { does, description } = describe(step);
  return {
    name,
    kind: kindOf(step),
    does,
    description: plainJson(description) as PlanStep['description'],
    input: step.input ? (names.get(step.input) ?? null) : null,
    after: (step.options.after ?? []).flatMap((other) => names.get(other) ?? []),
    columns: step.schema?.columns ?? null,
    tables: step.tables && Object.fromEntries(Object.entries(step.tables).map(([table, { columns }]) => [table, columns])),
    edges,
    ddl: ddlOf(step),
  };
}

function kindOf({ work: { kind } }: Step): PlanStep['kind'] {
  return kind === 'transform-changes' ? 'transform' : kind === 'load-changes' ? 'load' : kind;
}

function ddlOf({ work, input }: Step): readonly string[] {
  if (work.kind === 'load' && input?.schema) return work.target.ddl(input.schema);
  return work.kind === 'load-changes' && input?.tables ? work.target.ddl(input.tables) : [];
}

function describe({ work }: Step): { does: string; description: PlanStep['description'] } {
  switch (work.kind) {
    case 'extract': {
      const { object, connection } = work.selection.description;
      const since = work.since ? ` since ${work.since.column}` : '';
      return { does: `extract ${object} from ${connection}${since}`, description: { ...work.selection.description, since: work.since } };
    }
    case 'transform':
      return { does: work.transform.name, description: { ...work.transform.description, onBadRow: badRows(work.onBadRow) } };
    case 'load': {
      const { mode, object, connection } = work.target.description;
      return {
        does: `${mode} into ${object} at ${connection}`,
        description: { ...work.target.description, onBadRow: badRows(work.onBadRow) },
      };
    }
    case 'execute': {
      const { connection, ...rest } = work.request;
      if (rest.kind === 'task') {
        const { does, description } = describeTask(rest.task);
        return { does: `${does} at ${connection.label}`, description: { connection: connection.label, ...description } };
      }
      const what =
        rest.kind === 'call'
          ? `call ${rest.procedure}`
          : rest.kind === 'sql'
            ? `run ${rest.statements.length} SQL statement(s)`
            : `check ${rest.expectations.length} expectation(s)`;
      return { does: `${what} at ${connection.label}`, description: { connection: connection.label, ...rest } };
    }
    case 'remote': {
      const { description } = work.task;
      const at = `${description.service}:${description.action}`;
      return {
        does: `${description.label} (${at})`,
        description: { connector: description.service, ...description, parameters: describeParameters(work.parameters) },
      };
    }
    case 'capture': {
      const { description, tables } = work.source;
      const names = Object.values(tables).map(({ name }) => name);
      return {
        does: `capture ${names.length > 4 ? `${names.length} tables` : names.join(', ')} from ${description.connection}`,
        description: { ...description, tables: names, snapshot: work.snapshot, schemaChanges: work.policy },
      };
    }
    case 'transform-changes':
      return {
        does: `${work.name} ${Object.keys(work.transforms).join(', ')}`,
        description: Object.fromEntries(Object.entries(work.transforms).map(([table, { description }]) => [table, description])),
      };
    case 'load-changes': {
      const { mode, object, connection } = work.target.description;
      return { does: `${mode} into ${object} at ${connection}`, description: { ...work.target.description } };
    }
    default:
      return work satisfies never;
  }
}

const badRows = (rule: Extract<Step['work'], { kind: 'load' }>['onBadRow']): unknown =>
  rule === 'fail' ? rule : { quarantine: rule.quarantine.description, max: rule.max, maxRate: rule.maxRate };
