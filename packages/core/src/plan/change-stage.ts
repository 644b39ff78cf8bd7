import type { Step } from '../author/index.ts';
import { ofColumn } from '../connector/index.ts';
import { sameType } from '../schema/index.ts';
import type { Graph } from './graph.ts';
import { limitsOf } from './limits.ts';
import { patience } from './patience.ts';
import type { PlanStage, Problem } from './plan.ts';

/** The steps behind a capture, inputs first: they run with it, in one stage, since a stream is read once for all of its targets. */
export function followers(capture: Step, graph: Graph): Step[] {
  const members = new Set([capture]);
  const found: Step[] = [];
  for (const name of graph.order) {
    const step = graph.steps.get(name) as Step;
    if (!step.input || !members.has(step.input)) continue;
    members.add(step);
    found.push(step);
  }
  return found;
}

export function changeStage(id: string, capture: Step, behind: readonly Step[], graph: Graph): PlanStage {
  const { timeoutMs, ...retry } = patience(capture);
  return {
    id,
    kind: 'changes',
    steps: [id, ...behind.map((step) => graph.names.get(step) ?? '?')],
    needs: (capture.options.after ?? []).flatMap((before) => graph.names.get(before) ?? []),
    lane: 'columns',
    reason: 'changes are applied by whole transactions',
    absorbed: [],
    read: 'batches',
    write: 'batches',
    whole: true,
    retry,
    timeoutMs,
    onFailure: capture.options.onFailure ?? 'stop',
    ...limitsOf([capture]),
  };
}

export function changeProblems(id: string, behind: readonly Step[], graph: Graph): Problem[] {
  const problems: Problem[] = [];
  if (!behind.some(({ work }) => work.kind === 'load-changes')) {
    problems.push({
      step: id,
      message: `Nothing loads the changes of "${id}".`,
      remedy: 'Add load(changes, …) with a target that follows changes.',
    });
  }
  for (const step of behind) {
    const name = graph.names.get(step) ?? '?';
    const { after = [], retry, timeout } = step.options;
    if (after.length > 0 || retry || timeout) {
      problems.push({
        step: name,
        message: `"${name}" runs with "${id}", in one stage, and has no ${after.length > 0 ? '"after"' : retry ? '"retry"' : '"timeout"'} of its own.`,
        remedy: 'Say it of capture(), which everything behind it follows.',
      });
    }
    if (step.work.kind === 'load-changes') {
      problems.push(...step.work.target.problems(step.input?.tables ?? {}).map((problem) => ({ step: name, ...problem })));
    }
    if (step.work.kind === 'transform-changes') problems.push(...keyProblems(name, step));
  }
  return problems;
}

/** A delete knows the key of its row and nothing else, so the key must come through every transform. */
function keyProblems(name: string, { work, input, tables }: Step): Problem[] {
  if (work.kind !== 'transform-changes') return [];
  return Object.entries(work.transforms).flatMap(([table, transform]) => {
    const before = input?.tables?.[table];
    const after = tables?.[table];
    if (!before || !after) return [];
    if (!before.key) {
      if (transform.relational || after === before) return [];
      return [
        {
          step: name,
          message: `"${table}" has no key, so that nobody could tell which of the rows that "${name}" has made a delete is about.`,
          remedy: 'Declare a key of the table, or leave out the function.',
        },
      ];
    }
    if (!after.key)
      return [
        {
          step: name,
          message: `"${name}" takes the key of "${table}" away (${before.key.join(', ')}), so that its deletes could not be applied.`,
          remedy: `Keep the columns of the key${transform.relational ? '' : ', and declare them as the key of the table that comes out'}.`,
        },
      ];
    const { relational } = transform;
    if (relational) {
      if (relational.op !== 'mask') return [];
      const blurred = before.key.filter((column) => ['redact', 'truncate'].includes(ofColumn(relational.columns, column)?.mask ?? ''));
      return blurred.map((column) => ({
        step: name,
        message: `"${name}" makes different keys of "${table}" the same ("${column}"), so that rows would take each other's place.`,
        remedy: 'Mask a key with hash() or tokenize(): different values stay different.',
      }));
    }
    const { key } = before;
    const unlike = after.key.filter((column) => {
      const was = before.columns.find((candidate) => candidate.name === column && key.includes(column));
      const is = after.columns.find((candidate) => candidate.name === column);
      return !was || !is || !sameType(was.type, is.type);
    });
    if (unlike.length === 0 && after.key.length === before.key.length) return [];
    return [
      {
        step: name,
        message: `The rows of "${table}" have the key (${before.key.join(', ')}) before "${name}" and (${after.key.join(', ')}) after it, and a function sees no deletes.`,
        remedy: 'Let the function hand on the key columns under their names and types; rename() or mask() can change them.',
      },
    ];
  });
}
