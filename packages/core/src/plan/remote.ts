import { isRunValue, type RemoteParameters, type RemoteValue, type RunValue } from '../author/index.ts';
import type { Json, RemoteDescription, SecretRef } from '../connector/index.ts';
import type { Plan } from './plan.ts';

/** Parameters as a plan shows them: what only a run knows stands as `{ "$run": "date" }`. */
export function describeParameters(parameters: RemoteParameters): Readonly<Record<string, Json>> {
  return fill(parameters, ({ of }) => ({ $run: of }));
}

/** What a plan says of the work of one of its remote stages. */
export function remoteOf({ steps }: Pick<Plan, 'steps'>, stage: string): RemoteDescription | null {
  const step = steps.find(({ name }) => name === stage);
  return step?.kind === 'remote' ? (step.description as unknown as RemoteDescription) : null;
}

/** Parameters with `value` in place of what only a run knows. */
export function fill(parameters: RemoteParameters, value: (place: RunValue) => Json): Readonly<Record<string, Json>> {
  const filled = (one: RemoteValue): Json => {
    if (isRunValue(one)) return value(one);
    if (typeof one !== 'object' || one === null) return one;
    return isList(one) ? one.map(filled) : fill(one, value);
  };
  return Object.fromEntries(Object.entries(parameters).flatMap(([name, one]) => (one === undefined ? [] : [[name, filled(one)]])));
}

const isList = (value: object): value is readonly RemoteValue[] => Array.isArray(value);

interface ParameterProblem {
  readonly message: string;
  readonly remedy: string;
}

/** Values that would not reach the service as they are, or that nobody but the service may see. */
export function parameterProblems(parameters: RemoteParameters): ParameterProblem[] {
  const problems: ParameterProblem[] = [];
  const above = new Set<unknown>();
  const look = (value: unknown, path: string): void => {
    const problem = problemOf(value, path, above.has(value));
    if (problem) return void problems.push(problem);
    if (typeof value !== 'object' || value === null || isRunValue(value)) return;
    above.add(value);
    for (const [name, item] of Object.entries(value)) look(item, Array.isArray(value) ? `${path}[${name}]` : `${path}.${name}`);
    above.delete(value);
  };
  for (const [name, value] of Object.entries(parameters)) look(value, name);
  return problems;
}

function problemOf(value: unknown, path: string, circular: boolean): ParameterProblem | undefined {
  if ((value as SecretRef | null | undefined)?.kind === 'secret')
    return {
      message: `The parameter ${path} is a secret, and parameters are kept in plans and shown by services.`,
      remedy: 'Name the secret to the service, and let it read it by itself: a Glue connection, a secret of an ECS task definition.',
    };
  const what = circular ? 'contains itself' : notJson(value, path.endsWith(']'));
  return what === undefined
    ? undefined
    : { message: `The parameter ${path} ${what}.`, remedy: 'Write strings, numbers, booleans, null, lists and plain objects.' };
}

function notJson(value: unknown, inList: boolean): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : `is ${value}, which JSON does not have`;
    case 'object':
      return value === null || Array.isArray(value) || plain(value)
        ? undefined
        : `is a ${value.constructor?.name ?? 'thing'}, which JSON does not have`;
    // A property without a value is left out; in a list there is no leaving out.
    case 'undefined':
      return inList ? 'is undefined, which JSON does not have' : undefined;
    default:
      return `is a ${typeof value}, which JSON does not have`;
  }
}

const plain = (value: object): boolean => [Object.prototype, null].includes(Object.getPrototypeOf(value));
