import type { Pipeline, Step } from '../author/index.ts';
import type { Problem } from './plan.ts';

/** The steps of a pipeline by name, inputs first, and what is wrong with the graph. */
export interface Graph {
  readonly order: readonly string[];
  readonly steps: ReadonlyMap<string, Step>;
  readonly names: ReadonlyMap<Step, string>;
  readonly problems: readonly Problem[];
}

/** Puts names to steps and sorts them. Steps on a cycle, and those behind them, are left out of `order`. */
export function graphOf(pipeline: Pipeline): Graph {
  const problems: Problem[] = [];
  const names = new Map<Step, string>();
  const steps = new Map<string, Step>();
  for (const [name, step] of Object.entries(pipeline.steps)) {
    const problem = nameProblem(name, step, names);
    if (problem) {
      problems.push(problem);
      continue;
    }
    names.set(step, name);
    steps.set(name, step);
  }
  for (const [name, step] of steps) problems.push(...unlisted(name, step, names));
  const { order, cycle } = sort(steps, names);
  if (cycle.length > 0) {
    problems.push({
      step: cycle[0] ?? null,
      message: `These steps wait for each other: ${cycle.join(' → ')} → ${cycle[0]}.`,
      remedy: 'Take one of them out of an "after" list. Steps made before they are used cannot form a cycle.',
    });
  }
  return { order, steps, names, problems };
}

/** The steps a step waits for: its input, then its `after`. */
export function upstream(step: Step): Step[] {
  return [...(step.input ? [step.input] : []), ...(step.options.after ?? [])];
}

function nameProblem(name: string, step: Step, names: ReadonlyMap<Step, string>): Problem | undefined {
  if (!/^[A-Za-z][A-Za-z0-9_]{0,62}$/.test(name)) {
    return {
      step: name,
      message: `${JSON.stringify(name)} cannot be the name of a step.`,
      remedy: 'Use 1 to 63 letters, digits and "_", beginning with a letter.',
    };
  }
  if (typeof step !== 'object' || step === null || step.kind !== 'step') {
    return { step: name, message: `"${name}" is not a step.`, remedy: 'List what extract(), map(), load() and the like have returned.' };
  }
  const other = names.get(step);
  if (other !== undefined) {
    return { step: name, message: `"${name}" and "${other}" are the same step.`, remedy: 'List a step once, under one name.' };
  }
  return undefined;
}

function unlisted(name: string, step: Step, names: ReadonlyMap<Step, string>): Problem[] {
  return upstream(step).flatMap((before) =>
    names.has(before)
      ? []
      : [
          {
            step: name,
            message: `"${name}" ${before === step.input ? 'reads' : 'waits for'} a step (${describe(before)}) that is not listed.`,
            remedy: 'Add that step to pipeline({ steps: { … } }): the property is its name.',
          },
        ],
  );
}

/** For messages about a step that has no name. */
function describe(step: Step): string {
  const { work } = step;
  switch (work.kind) {
    case 'extract':
      return `extract of ${work.selection.description.object}`;
    case 'transform':
      return work.transform.name;
    case 'load':
      return `load into ${work.target.description.object}`;
    case 'execute':
      return work.request.kind === 'task' ? work.request.task.kind : work.request.kind;
    case 'remote':
      return work.task.description.label;
    case 'capture':
      return `capture from ${work.source.description.connection}`;
    case 'transform-changes':
      return work.name;
    case 'load-changes':
      return `load into ${work.target.description.object}`;
    default:
      return work satisfies never;
  }
}

/** Kahn's algorithm, keeping the order of declaration among steps that are ready. */
function sort(steps: ReadonlyMap<string, Step>, names: ReadonlyMap<Step, string>): { order: string[]; cycle: string[] } {
  const waiting = new Map<string, number>();
  const readers = new Map<string, string[]>();
  for (const [name, step] of steps) {
    const before = new Set(upstream(step).flatMap((other) => names.get(other) ?? []));
    waiting.set(name, before.size);
    for (const other of before) push(readers, other, name);
  }
  const order: string[] = [];
  const ready = [...steps.keys()].filter((name) => waiting.get(name) === 0);
  for (let next = 0; next < ready.length; next++) {
    const name = ready[next] as string;
    order.push(name);
    for (const reader of readers.get(name) ?? []) {
      const left = (waiting.get(reader) ?? 0) - 1;
      waiting.set(reader, left);
      if (left === 0) ready.push(reader);
    }
  }
  return { order, cycle: order.length === steps.size ? [] : findCycle(steps, names, new Set(order)) };
}

function findCycle(steps: ReadonlyMap<string, Step>, names: ReadonlyMap<Step, string>, sorted: ReadonlySet<string>): string[] {
  const path: string[] = [];
  let name = [...steps.keys()].find((candidate) => !sorted.has(candidate));
  while (name !== undefined && !path.includes(name)) {
    path.push(name);
    const step = steps.get(name) as Step;
    name = upstream(step)
      .flatMap((before) => names.get(before) ?? [])
      .find((before) => !sorted.has(before));
  }
  return name === undefined ? path : path.slice(path.indexOf(name)).reverse();
}

function push(lists: Map<string, string[]>, key: string, item: string): void {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
}
