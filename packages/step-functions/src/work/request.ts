import { MillraceError } from '@millrace/core/runtime';
import { taskVariables as variables } from './variables.ts';

/** What a state asks of a task of ours: see `workerTask`, which writes it. */
export interface StageRequest {
  readonly pipeline: string;
  readonly stage: string;
  /** Fingerprint of the plan that the machine was made of. */
  readonly plan: string;
  readonly run: string;
  readonly input: StateInput;
  /** How often the state was tried before. */
  readonly attempt: number;
  /** How often the execution was redriven. */
  readonly redriveCount: number;
  /** Of several tasks of one attempt: the first makes it, the others help. */
  readonly place: number;
}

/** The state of the execution, as far as a task needs it. */
export interface StateInput {
  /** ISO 8601. */
  readonly time: string;
  readonly date: string | null;
  readonly window: { readonly start: string; readonly end: string } | null;
  readonly params: Readonly<Record<string, string>>;
  /** By flag, see `failedStages`. */
  readonly failed: Readonly<Record<string, unknown>>;
  /** How often the run had been reopened when this execution was started. */
  readonly reopened: number;
  /** How often the execution that has started this one had been redriven then. */
  readonly redrives: number;
  /** True in a part of a machine, which stands in for states of it. */
  readonly part: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws CONFIG_INVALID, with everything that is missing or malformed */
export function requestFromEnvironment(pipeline: string, stage: string, env: Environment): StageRequest {
  const [input, fault] = jsonOf(env[variables.input]);
  return parse(
    {
      pipeline,
      stage,
      plan: env[variables.plan],
      run: env[variables.run],
      input,
      attempt: numberOf(env[variables.attempt]),
      redriveCount: numberOf(env[variables.redriveCount]),
      place: numberOf(env[variables.place]),
    },
    variables,
    fault === null ? [] : [`${variables.input} ${fault}`],
  );
}

/** As an activity or a function gets it. @throws CONFIG_INVALID */
export function requestFromJson(value: unknown): StageRequest {
  const { command, ...request } = objectOf(value) ?? {};
  return parse(request, {}, command === 'run-step' ? [] : ['command is not "run-step"']);
}

function parse(given: Readonly<Record<string, unknown>>, names: Readonly<Record<string, string>>, known: readonly string[]): StageRequest {
  const faults = [...known];
  const nameOf = (field: string): string => names[field] ?? field;
  const text = (field: string): string => {
    const { [field]: value } = given;
    if (typeof value === 'string' && value !== '') return value;
    faults.push(`${nameOf(field)} is missing`);
    return '';
  };
  const count = (field: string): number => {
    const { [field]: value = 0 } = given;
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
    faults.push(`${nameOf(field)} is not a number from 0 on`);
    return 0;
  };
  const [pipeline, stage, plan, run] = [text('pipeline'), text('stage'), text('plan'), text('run')];
  if (run !== '' && !isRunName(run))
    faults.push(`${nameOf('run')} is no name of an execution: 1 to 80 characters, no slashes, no control characters`);
  const input = inputOf(given['input'], nameOf('input'), faults);
  const [attempt, redriveCount, place] = [count('attempt'), count('redriveCount'), count('place')];
  if (faults.length > 0) throw malformed([...new Set(faults)]);
  return { pipeline, stage, plan, run, input, attempt, redriveCount, place };
}

/** Of an execution, which names the run; it becomes part of names of folders. */
const isRunName = (run: string): boolean => /^[^\p{Cc}/\\]{1,80}$/u.test(run) && !/^\.+$/.test(run);

function inputOf(value: unknown, name: string, faults: string[]): StateInput {
  const input = objectOf(value);
  if (!input) {
    if (!faults.some((fault) => fault.startsWith(name))) faults.push(`${name} is not an object`);
    return { time: '', date: null, window: null, params: {}, failed: {}, reopened: 0, redrives: 0, part: false };
  }
  const { time, date = null, window = null, params = {}, failed = {}, reopened = 0, redrives = 0, part = false } = input;
  const { start, end } = objectOf(window) ?? {};
  if (!isTime(time)) faults.push(`${name}.time is no time`);
  if (date !== null && !(typeof date === 'string' && /^\d{4}-\d\d-\d\d$/.test(date))) faults.push(`${name}.date is no day like 2026-03-29`);
  if (window !== null && !(isTime(start) && isTime(end))) faults.push(`${name}.window has no start and end`);
  for (const [field, count] of Object.entries({ reopened, redrives }))
    if (!Number.isSafeInteger(count) || (count as number) < 0) faults.push(`${name}.${field} is not a number from 0 on`);
  return {
    time: String(time),
    date: date as string | null,
    window: window === null ? null : { start: String(start), end: String(end) },
    params: paramsOf(params, name, faults),
    failed: objectOf(failed) ?? {},
    reopened: reopened as number,
    redrives: redrives as number,
    part: part === true,
  };
}

/** Numbers and truth values are taken as they are written. */
function paramsOf(value: unknown, name: string, faults: string[]): Record<string, string> {
  const params = objectOf(value);
  if (!params) faults.push(`${name}.params is not an object`);
  return Object.fromEntries(
    Object.entries(params ?? {}).map(([param, one]) => {
      if (typeof one !== 'string' && typeof one !== 'number' && typeof one !== 'boolean')
        faults.push(`${name}.params.${param} is not a text`);
      return [param, String(one)];
    }),
  );
}

const isTime = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value));

const objectOf = (value: unknown): Record<string, unknown> | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;

function jsonOf(text: string | undefined): readonly [value: unknown, fault: string | null] {
  if (text === undefined || text === '') return [undefined, 'is missing'];
  try {
    return [JSON.parse(text), null];
  } catch {
    return [undefined, 'is not JSON'];
  }
}

/** Undefined where there is none; what is no number is none of those that are taken. */
const numberOf = (text: string | undefined): number | undefined =>
  text === undefined || text === '' ? undefined : /^\d{1,9}$/.test(text) ? Number(text) : -1;

const malformed = (faults: readonly string[]): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: `"millrace run-step" is started by a state machine, and was not told what to do: ${faults.join('; ')}.`,
    remedy: 'Let the machine that "millrace deploy" makes start it, or set what is missing as that does.',
    facts: { faults },
  });
