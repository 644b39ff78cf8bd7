import { followsChanges, MillraceError, type Plan, type Problem, type StepFunctionsSettings } from '@millrace/core/runtime';
import { type Definition, isDistributed } from './asl.ts';
import { capabilities } from './capabilities.ts';
import { dayOf } from './machine/day.ts';
import { faultsOf } from './machine/faults.ts';
import { fit } from './machine/fit.ts';
import { flagsOf, gatesOf } from './machine/flags.ts';
import { comfortable, limits } from './machine/limits.ts';
import { machineName, uniqueNames } from './machine/names.ts';
import { largestState } from './machine/prologue.ts';
import { anotherMachine, type Helper, type Site, type StagePart } from './machine/site.ts';
import { nativeStages } from './machine/stage.ts';
import { starterOf } from './machine/starter.ts';
import { type Weight, weigh } from './machine/weight.ts';
import { partSuffix, writeMain, writePart } from './machine/write.ts';
import { type Barrier, type Block, seriesParallel } from './order/series-parallel.ts';
import type { Grant } from './policy/grant.ts';
import { mapGrants } from './work/remote.ts';

/** A pipeline as state machines: one, and those that it starts. */
export interface StateMachines {
  readonly main: Machine;
  readonly others: readonly Machine[];
  /** Where the order of the states is stricter than the plan. */
  readonly barriers: readonly Barrier[];
  /** What is different from other executors, for people. */
  readonly remarks: readonly Problem[];
  /** Stages whose work a service does, and which a task of ours starts and watches. */
  readonly watched: ReadonlySet<string>;
  /** Stages that a state does by itself, with their keys in `done` of an execution's input. */
  readonly native: ReadonlyMap<string, string>;
  /** What the machines may do: not yet put together. */
  readonly grants: readonly Grant[];
}

export interface Machine {
  /** Letters and digits: its resource in the template is named so. */
  readonly id: string;
  readonly name: string;
  readonly definition: Definition;
  readonly weight: Weight;
  /** Of the states that belong to a stage: what they are to it. */
  readonly states: ReadonlyMap<string, StagePart>;
}

/**
 * Compiles a plan to state machines. Pure: no connection, no clock, the same for the same plan and settings (and rules of time zones, of which Node
 * has a table).
 *
 * @throws UNSUPPORTED for a pipeline that this executor cannot run at all, or that passes a limit of Step Functions
 */
export function compileStateMachines(plan: Plan, settings: StepFunctionsSettings, most: Weight = comfortable): StateMachines {
  refuse(plan);
  const { block, barriers } = seriesParallel(plan.stages);
  const site = siteOf(plan, settings);
  const { laid, parts } = block === null ? { laid: null, parts: [] } : fit(block, (one) => weightOf(one, site), most);
  // The main machine is written last: its first states depend on what others ask.
  const partMachines = parts.map((part, at) => {
    const own = anotherMachine(site);
    return machineOf(`Part${at + 1}`, partSuffix(at + 1), writePart(part, own), own);
  });
  const main: Machine = machineOf('StateMachine', '', writeMain(laid, site), site);
  const starter = starterOf(site);
  const others = [
    ...partMachines,
    ...[...site.helpers.values(), ...(starter ? [starter] : [])].map(({ id, suffix, definition }) =>
      machineOf(id, suffix, definition, anotherMachine(site)),
    ),
  ];
  for (const machine of [main, ...others]) {
    check(machine, site);
    if (isDistributed(machine.definition)) site.grants.push(...mapGrants(machine.name));
  }
  const remarks = unique([...capabilities(plan, settings), ...site.remarks, ...unrecorded(plan, site), ...inParts(partMachines)]);
  return { main, others, barriers, remarks, watched: site.watched, native: site.native, grants: site.grants };
}

function refuse(plan: Plan): void {
  if (!followsChanges(plan)) return;
  throw new MillraceError('UNSUPPORTED', {
    message: `Pipeline "${plan.pipeline}" follows changes without end, and an execution of Step Functions ends: after 25,000 events, or a year.`,
    remedy: 'Run it on a fleet ("millrace worker"). A DMS replication as a plain step can be a state machine.',
    facts: { pipeline: plan.pipeline },
  });
}

function siteOf(plan: Plan, settings: StepFunctionsSettings): Site {
  const flags = flagsOf(plan);
  const site: Site = {
    plan,
    settings,
    stages: new Map(plan.stages.map((stage) => [stage.id, stage])),
    flags,
    gates: gatesOf(plan, flags),
    native: new Map(),
    states: new Map(),
    name: uniqueNames(),
    helpers: new Map<string, Helper>(),
    grants: [],
    remarks: [],
    watched: new Set(),
    day: dayOf(plan),
  };
  return { ...site, native: nativeStages(scratch(site)) };
}

/** Of a block in a machine of its own. */
const weightOf = (block: Block, site: Site): Weight => weigh(writePart(block, scratch(site)));

/** What is left behind there is thrown away. */
const scratch = (site: Site): Site => ({
  ...anotherMachine(site),
  helpers: new Map(),
  grants: [],
  remarks: [],
  watched: new Set(),
  day: { ...site.day },
});

function machineOf(id: string, suffix: string, definition: Definition, { plan, states }: Site): Machine {
  return { id, name: machineName(plan.pipeline, suffix), definition, weight: weigh(definition), states };
}

function check({ name, definition, weight }: Machine, { plan, flags, native }: Site): void {
  const faults = faultsOf(definition, largestState({ plan, flags, native }));
  const [heavy] = plan.stages.filter(({ retry }) => retry.attempts > 1000);
  if (weight.events > limits.events)
    faults.push(
      `it may take ${weight.events.toLocaleString('en')} events, of which an execution has ${limits.events.toLocaleString('en')}${heavy ? `: "${heavy.id}" alone is tried ${heavy.retry.attempts} times` : ''}`,
    );
  if (weight.bytes > limits.bytes) faults.push(`its definition has ${weight.bytes} bytes, and ${limits.bytes} are the most`);
  if (faults.length === 0) return;
  throw new MillraceError('UNSUPPORTED', {
    message: `State machine "${name}" would pass what Step Functions allows:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    remedy: "Lower retry.attempts, shorten what is named, let fewer stages fail (onFailure: 'continue'); or run the pipeline on a fleet.",
    facts: { faults },
  });
}

/** A run's record is made by `millrace run`, or by the first task of ours that comes by. */
function unrecorded({ stages }: Plan, { native }: Site): Problem[] {
  if (stages.length === 0 || native.size < stages.length) return [];
  return [
    {
      step: null,
      message:
        'AWS does all of its work: of executions that a schedule, a trigger or a person starts there is no record, and "millrace runs" does not know them.',
      remedy:
        'Look at them in the console of Step Functions. "millrace run" records what it starts; a step of ours (a check, a call) records the others too.',
    },
  ];
}

function inParts(parts: readonly Machine[]): Problem[] {
  if (parts.length === 0) return [];
  return [
    {
      step: null,
      message: `It is large: ${parts.length} ${parts.length === 1 ? 'part' : 'parts'} of it are machines of their own, and a redrive in the console of Step Functions fails where one begins.`,
      remedy: 'Go on with "millrace runs retry", which starts another execution.',
    },
  ];
}

function unique(remarks: readonly Problem[]): Problem[] {
  return [...new Map(remarks.map((remark) => [`${remark.step} ${remark.message}`, remark])).values()];
}
