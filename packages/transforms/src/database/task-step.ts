import { type DatabaseConnection, type DatabaseTask, nameParts, type Step, type StepOptions, step } from '@millrace/core/runtime';
import { invalid } from '../transform-step.ts';

/** A step that has a database do a task. @throws PIPELINE_INVALID for a connection that does none */
export function taskStep(who: string, connection: DatabaseConnection, task: DatabaseTask, options: StepOptions): Step<never, 'nothing'> {
  if (typeof connection?.tasks !== 'function') {
    throw invalid(
      `${who}: ${connection?.connector ?? 'this'} is not a database that does this.`,
      'Give it a Postgres, Aurora or Redshift connection.',
    );
  }
  return step('nothing', {
    input: null,
    schema: null,
    work: { kind: 'execute', request: { kind: 'task', connection, task: Object.freeze(task) } },
    options,
  });
}

/** @throws PIPELINE_INVALID */
export function checkName(who: string, name: string, what: string): string {
  const parts = typeof name === 'string' ? nameParts(name) : null;
  if (parts !== null && parts.length <= 2) return name;
  throw invalid(
    `${who}: ${JSON.stringify(name)} is not the name of a ${what}.`,
    `Write its name, with its schema where it has one: 'analytics.daily_sales'.`,
  );
}

/** What a type checker would have said: in JavaScript nobody has. @throws PIPELINE_INVALID */
export function oneOf<const T>(who: string, option: string, value: T, choices: readonly T[]): T {
  if (choices.includes(value)) return value;
  throw invalid(
    `${who}: ${option} ${JSON.stringify(value)} is not known.`,
    `Write one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}.`,
  );
}
