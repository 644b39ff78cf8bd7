import type { Step, StepWork } from '../author/index.ts';
import type { RelationalOp, Selection } from '../connector/index.ts';
import { changeProblems, changeStage, followers } from './change-stage.ts';
import { type Graph, upstream } from './graph.ts';
import { chooseRoute, type NamedTransform } from './lane.ts';
import { limitsOf } from './limits.ts';
import { patience } from './patience.ts';
import type { PlanStage, Problem } from './plan.ts';

/**
 * Cuts the graph into stages. A load, an execute step or a remote one ends a stage, and each load has a stage of its own with the whole
 * chain of transforms back to the extract: rows that go to two targets are read twice, each under its own checkpoint, so
 * that one target's trouble is not the other's.
 */
export function stagesOf(graph: Graph): { stages: PlanStage[]; problems: Problem[]; warnings: Problem[] } {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const stages: PlanStage[] = [];
  const reads = new Map<Step, string[]>();
  for (const name of graph.order) {
    const step = graph.steps.get(name) as Step;
    if (step.work.kind === 'capture') {
      const followed = followers(step, graph);
      problems.push(...changeProblems(name, followed, graph));
      stages.push(changeStage(name, step, followed, graph));
      continue;
    }
    if (step.work.kind !== 'load' && step.work.kind !== 'execute' && step.work.kind !== 'remote') continue;
    const chain = chainOf(step);
    const common = {
      id: name,
      steps: chain.map((member) => graph.names.get(member) ?? '?'),
      needs: needsOf(chain, graph),
      ...patienceOf(step),
      ...limitsOf(chain),
    };
    const first = chain[0] as Step;
    const elsewhere = { lane: 'server', absorbed: [], read: null, write: null, whole: true } as const;
    if (step.work.kind === 'execute') {
      stages.push({ ...common, ...elsewhere, kind: 'execute', reason: 'the database does the work' });
    } else if (step.work.kind === 'remote') {
      stages.push({ ...common, ...elsewhere, kind: 'remote', reason: 'the service does the work, and no worker is held meanwhile' });
    } else if (first.work.kind === 'extract') {
      const readers = reads.get(first);
      if (readers) readers.push(name);
      else reads.set(first, [name]);
      const made = rowStage(first.work.selection, chain, step.work, graph);
      problems.push(...made.problems);
      stages.push({ ...common, kind: 'rows', ...made.stage });
    } else {
      const reason = `${step.work.target.description.connector} reads the files of "${graph.names.get(step.input as Step)}" itself`;
      stages.push({ ...common, ...elsewhere, kind: 'files', reason });
    }
  }
  for (const [step, readers] of reads) {
    if (readers.length < 2) continue;
    const name = graph.names.get(step) ?? '?';
    warnings.push({
      step: name,
      message: `"${name}" is read ${readers.length} times, once for each of ${readers.join(', ')}.`,
      remedy: 'Load it once and read the files from there, if the source should be read once only.',
    });
  }
  return { stages, problems, warnings };
}

/** From the extract (or the files of an earlier load) to the step that ends the stage. */
function chainOf(last: Step): Step[] {
  const chain = [last];
  for (let step = last.input; step && step.work.kind !== 'load'; step = step.input) chain.unshift(step);
  return chain;
}

function needsOf(chain: readonly Step[], graph: Graph): string[] {
  const inside = new Set(chain);
  const needs = new Set<string>();
  for (const step of chain) {
    for (const before of upstream(step)) {
      if (inside.has(before)) continue;
      for (const ending of endings(before, graph)) needs.add(ending);
    }
  }
  return [...needs];
}

/** The stages whose end means that a step has run: its own, or for rows the loads that consume them. */
function endings(step: Step, graph: Graph): string[] {
  const { kind } = step.work;
  if (kind === 'load' || kind === 'execute' || kind === 'remote' || kind === 'capture') return [graph.names.get(step) ?? '?'];
  // Whatever stands behind a capture runs in its stage.
  if (step.out === 'changes' || kind === 'load-changes') return step.input ? endings(step.input, graph) : [];
  return (readersOf(graph).get(step) ?? []).flatMap((reader) => endings(reader, graph));
}

const readersByGraph = new WeakMap<Graph, ReadonlyMap<Step, readonly Step[]>>();

function readersOf(graph: Graph): ReadonlyMap<Step, readonly Step[]> {
  const known = readersByGraph.get(graph);
  if (known) return known;
  const readers = new Map<Step, Step[]>();
  for (const step of graph.steps.values()) {
    if (!step.input) continue;
    const list = readers.get(step.input);
    if (list) list.push(step);
    else readers.set(step.input, [step]);
  }
  readersByGraph.set(graph, readers);
  return readers;
}

type LoadWork = Extract<StepWork, { kind: 'load' }>;
type RowStage = Pick<PlanStage, 'lane' | 'reason' | 'absorbed' | 'read' | 'write' | 'whole'>;

function rowStage(selection: Selection, chain: readonly Step[], work: LoadWork, graph: Graph): { stage: RowStage; problems: Problem[] } {
  const transforms = chain.flatMap((step) =>
    step.work.kind === 'transform'
      ? [{ name: graph.names.get(step) ?? '?', transform: step.work.transform, quarantined: step.work.onBadRow !== 'fail' }]
      : [],
  );
  const ops: RelationalOp[] = [];
  const absorbed: NamedTransform[] = [];
  for (const named of transforms) {
    const { relational } = named.transform;
    if (!relational || !selection.absorbs(relational, ops)) break;
    // In a query, a value that does not fit its new type ends the query; only here can its row be set aside.
    if (named.quarantined && relational.op === 'cast') break;
    ops.push(relational);
    absorbed.push(named);
  }
  const left = transforms.slice(absorbed.length);
  const problems = left
    .filter(({ transform }) => transform.wholeInput)
    .map(({ name, transform }) => ({
      step: name,
      message: `"${name}" (${transform.name}) must see all rows at once, and only the source's query can do that.`,
      remedy: 'Put it directly after the extract, before any function, or let the target merge by key.',
    }));
  const stage = {
    ...chooseRoute(selection, left, work.target, work.onBadRow !== 'fail'),
    absorbed: absorbed.map(({ name }) => name),
    whole: absorbed.some(({ transform }) => transform.wholeInput),
  };
  return { stage, problems };
}

function patienceOf(step: Step): Pick<PlanStage, 'retry' | 'timeoutMs' | 'onFailure'> {
  const { timeoutMs, ...retry } = patience(step);
  return { retry, timeoutMs, onFailure: step.options.onFailure ?? 'stop' };
}
