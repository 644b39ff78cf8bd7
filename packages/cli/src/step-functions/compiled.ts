import { compile, type Plan, type StepFunctionsSettings } from '@millrace/core/runtime';
import { compileStateMachines, machinePolicy, type StateMachines, type Template, templateOf } from '@millrace/step-functions';
import { warnUnlisted } from '../commands/plan.ts';
import { findPipeline } from '../project/pipelines.ts';
import type { Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { stepFunctionsSettings } from './settings.ts';

/** A pipeline of the project, compiled for Step Functions. */
export interface Compiled {
  readonly plan: Plan;
  readonly settings: StepFunctionsSettings;
  readonly machines: StateMachines;
  readonly template: Template;
}

export async function compiledFor(session: Session, wanted: string): Promise<Compiled> {
  const project = await session.project();
  const settings = stepFunctionsSettings(project);
  const loaded = await findPipeline(project, wanted, session.calledFrom);
  warnUnlisted(session.terminal, loaded);
  const plan = compile(loaded.pipeline);
  const machines = compileStateMachines(plan, settings);
  return { plan, settings, machines, template: templateOf(plan, machines, settings) };
}

/** The files of a compiled pipeline: its text by name. */
export function filesOf({ plan, settings, machines, template }: Compiled): ReadonlyMap<string, string> {
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  return new Map([
    [`${plan.pipeline}.template.json`, json(template)],
    ...[machines.main, ...machines.others].map(
      ({ name, definition }) => [`${name.replace(/^millrace-/, '')}.asl.json`, json(definition)] as const,
    ),
    [`${plan.pipeline}.policy.json`, json(machinePolicy(machines.grants, settings))],
  ]);
}

/** What is different there, and where the order is stricter than the plan. */
export function tellRemarks(terminal: Terminal, { barriers, remarks }: Pick<StateMachines, 'barriers' | 'remarks'>): void {
  for (const { message, remedy } of remarks) terminal.say(`${terminal.err.yellow('note')} ${message} ${terminal.err.dim(remedy)}`);
  for (const { stage, waitsFor } of barriers) terminal.say(`${terminal.err.yellow('note')} ${stage} also waits for ${waitsFor.join(', ')}`);
}
