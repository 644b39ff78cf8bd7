import type { Step } from '../author/index.ts';
import { isMillraceError } from '../error/index.ts';
import { type ColumnEdge, type ColumnSchema, edges, type RowSchema } from '../schema/index.ts';
import type { Graph } from './graph.ts';
import { patience } from './patience.ts';
import type { Problem } from './plan.ts';
import { parameterProblems } from './remote.ts';

export interface GraphCheck {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** Of each load, by step name. */
  readonly edges: ReadonlyMap<string, readonly ColumnEdge[]>;
}

/** What can be said of each step alone, and of the columns between a step and its input. */
export function checkGraph(graph: Graph): GraphCheck {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const loadEdges = new Map<string, readonly ColumnEdge[]>();
  const read = new Set<Step>();
  for (const name of graph.order) {
    const step = graph.steps.get(name) as Step;
    if (step.input) read.add(step.input);
    problems.push(...stepProblems(name, step));
    if (step.work.kind !== 'load' || !step.input?.schema) continue;
    const { target } = step.work;
    problems.push(...target.problems(step.input.schema).map((problem) => ({ step: name, ...problem })));
    if (!target.schema) continue;
    const found = edges(step.input.schema.columns, target.schema.columns);
    loadEdges.set(name, found);
    problems.push(...columnProblems(name, step.input.schema, target.schema, found));
  }
  for (const name of graph.order) {
    const step = graph.steps.get(name) as Step;
    if (step.out === 'rows' && !read.has(step)) {
      warnings.push({
        step: name,
        message: `Nothing reads the rows of "${name}", so it does not run.`,
        remedy: 'Load them somewhere, or take the step out.',
      });
    }
  }
  return { problems, warnings, edges: loadEdges };
}

function stepProblems(name: string, step: Step): Problem[] {
  const problems: Problem[] = [];
  try {
    patience(step);
  } catch (error) {
    problems.push({
      step: name,
      message: `"${name}": ${(error as Error).message}`,
      remedy: isMillraceError(error) ? error.remedy : 'Correct the option.',
    });
  }
  problems.push(...optionProblems(name, step));
  const { work } = step;
  if (work.kind === 'remote') problems.push(...parameterProblems(work.parameters).map((problem) => ({ step: name, ...problem })));
  if (work.kind === 'extract' && work.since) {
    const column = work.selection.schema.columns.find((candidate) => candidate.name === work.since?.column);
    if (!column) {
      problems.push({
        step: name,
        message: `"${name}" reads since "${work.since.column}", which is not a column of ${work.selection.description.object}.`,
        remedy: 'Name a column of the table() declaration.',
      });
    } else if (column.nullable) {
      problems.push({
        step: name,
        message: `"${name}" reads since "${column.name}", which may be NULL: such rows would never be read.`,
        remedy: 'Use a column that is NOT NULL, or read without "since".',
      });
    }
  }
  return problems;
}

/** What a type checker would have said of them: in JavaScript nobody has. */
function optionProblems(name: string, { options: { pool, onFailure } }: Step): Problem[] {
  const problems: Problem[] = [];
  if (pool !== undefined && (typeof pool !== 'string' || pool === '')) {
    problems.push({
      step: name,
      message: `"${name}" names the pool ${JSON.stringify(pool)}, which is no name.`,
      remedy: "Write the name of a pool of the environment: { pool: 'reporting' }.",
    });
  }
  if (onFailure !== undefined && onFailure !== 'stop' && onFailure !== 'continue') {
    problems.push({
      step: name,
      message: `"${name}": onFailure ${JSON.stringify(onFailure)} is not known.`,
      remedy: "Write 'stop' or 'continue', or leave it out.",
    });
  }
  return problems;
}

function columnProblems(step: string, from: RowSchema, to: RowSchema, found: readonly ColumnEdge[]): Problem[] {
  const targets = new Map(to.columns.map((column) => [column.name, column]));
  const sources = new Map(from.columns.map((column) => [column.name, column]));
  return [
    ...found
      .filter((edge) => edge.fidelity === 'lossy')
      .map(({ column, from: before, to: after }) => ({
        step,
        message: `Column "${column}" would go from ${before} to ${after}, which can lose something.`,
        remedy: `Ask for it by name: cast(rows, { ${column}: … }), or change the type of the target's column.`,
      })),
    ...from.columns
      .filter((column) => !targets.has(column.name))
      .map((column) => ({
        step,
        message: `Column "${column.name}" has no place in the target of "${step}".`,
        remedy: 'Add it to the target table, or leave it out with select().',
      })),
    ...to.columns.flatMap((column) => missing(step, column, sources.get(column.name))),
  ];
}

function missing(step: string, column: ColumnSchema, source: ColumnSchema | undefined): Problem[] {
  if (source === undefined) {
    if (column.nullable) return [];
    return [
      {
        step,
        message: `Nothing fills column "${column.name}" of the target of "${step}", which may not be NULL.`,
        remedy: 'Give the rows this column, or declare it with .orNull().',
      },
    ];
  }
  if (source.nullable && !column.nullable) {
    return [
      {
        step,
        message: `Column "${column.name}" may be NULL where it comes from, and may not at the target of "${step}".`,
        remedy: 'Declare the target column with .orNull(), or give NULL a value in a map().',
      },
    ];
  }
  return [];
}
