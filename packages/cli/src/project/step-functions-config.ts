/** Of `StepFunctionsSettings`, what must be there and what may, each with how it is checked. */
type Check = (value: unknown) => string | undefined;

const text: Check = (value) => (typeof value === 'string' && value !== '' ? undefined : 'is no text');
const texts: Check = (value) =>
  Array.isArray(value) && value.length > 0 && value.every((one) => text(one) === undefined) ? undefined : 'is no list of texts';
const flag: Check = (value) => (typeof value === 'boolean' ? undefined : 'is neither true nor false');
const object: Check = (value) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'is no object');
const within =
  (least: number, most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `is no whole number from ${least} to ${most}`;
const oneOf =
  (...choices: readonly unknown[]): Check =>
  (value) =>
    choices.includes(value) ? undefined : `is none of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}`;

const needed: Readonly<Record<string, Check>> = {
  region: (value) => (typeof value === 'string' && /^[a-z]{2}(-[a-z]+)+-\d$/.test(value) ? undefined : 'is no region like "eu-west-1"'),
  cluster: text,
  subnets: texts,
  securityGroups: texts,
  image: (value) =>
    typeof value === 'string' && /[:@][^/]+$/.test(value) && !value.endsWith(':latest') ? undefined : 'names no tag or digest that stays',
};

const possible: Readonly<Record<string, Check>> = {
  publicIp: flag,
  cpu: oneOf(256, 512, 1024, 2048, 4096, 8192, 16384),
  memory: within(512, 122_880),
  storage: within(21, 200),
  architecture: oneOf('X86_64', 'ARM64'),
  spot: flag,
  secret: text,
  secrets: texts,
  secretKey: text,
  environment: text,
  policies: texts,
  roles: (value) => object(value) ?? rolesProblem(value as Record<string, unknown>),
  work: (value) =>
    ['task', 'token', 'activity'].includes(value as string) ||
    (object(value) === undefined && text((value as { lambda?: unknown }).lambda) === undefined)
      ? undefined
      : 'is none of "task", "token", "activity" and { lambda: … }',
  splits: (value) =>
    object(value) === undefined && Object.values(value as object).every((one) => within(1, 10_000)(one) === undefined)
      ? undefined
      : 'is no object of whole numbers from 1 to 10000',
  log: oneOf('off', 'error', 'all'),
  logDays: oneOf(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827),
  xray: flag,
  alarms: object,
  bucket: text,
};

const roles: Readonly<Record<string, Check>> = { machine: text, task: text, execution: text, scheduler: text, passed: texts };

function rolesProblem(given: Record<string, unknown>): string | undefined {
  for (const [role, value] of Object.entries(given)) {
    const check = roles[role];
    if (!check) return `has "${role}", and there are ${Object.keys(roles).join(', ')}`;
    const fault = value === undefined ? undefined : check(value);
    if (fault !== undefined) return `has "${role}", which ${fault}`;
  }
  return undefined;
}

/** What is wrong with the `stepFunctions` of an environment. */
export function stepFunctionsProblem(settings: unknown): string | undefined {
  if (settings === undefined) return undefined;
  if (object(settings) !== undefined) return '"stepFunctions" is not an object.';
  const given = settings as Record<string, unknown>;
  const missing = Object.keys(needed).find((field) => given[field] === undefined);
  if (missing !== undefined) return `"stepFunctions" has no "${missing}"; it needs ${Object.keys(needed).join(', ')}.`;
  for (const [field, value] of Object.entries(given)) {
    const check = needed[field] ?? possible[field];
    if (!check)
      return `"stepFunctions.${field}" is not a setting; there are ${[...Object.keys(needed), ...Object.keys(possible)].join(', ')}.`;
    const fault = value === undefined ? undefined : check(value);
    if (fault !== undefined) return `"stepFunctions.${field}" ${fault}.`;
  }
  return undefined;
}
