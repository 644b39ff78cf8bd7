const kinds = ['failed', 'late', 'recovered'];
const addresses = ['webhook', 'slack', 'sns'];

/** What is wrong with the `alerts` of an environment. Addresses are secrets: it shows none. */
export function alertsProblem(alerts: unknown): string | undefined {
  if (alerts === undefined) return undefined;
  if (!isObject(alerts)) return '"alerts" is not an object of targets by name.';
  for (const [name, target] of Object.entries(alerts)) {
    const problem = isObject(target) ? targetProblem(target) : 'is not an object';
    if (problem !== undefined) return `"alerts.${name}" ${problem}.`;
  }
  return undefined;
}

function targetProblem(target: Record<string, unknown>): string | undefined {
  const unknown = Object.keys(target).find((field) => ![...addresses, 'on', 'pipelines'].includes(field));
  if (unknown !== undefined) return `has the unknown field "${unknown}"; there are ${addresses.join(', ')}, on, pipelines`;
  const given = addresses.filter((address) => target[address] !== undefined);
  if (given.length !== 1) return `names ${given.join(' and ') || 'nobody'}: one of ${addresses.join(', ')}`;
  const address = target[given[0] as string];
  if (typeof address !== 'string' && !(isObject(address) && address['kind'] === 'secret'))
    return `has a "${given[0]}" that is neither text nor secret('…')`;
  const { on = [], pipelines = [] } = target;
  if (!Array.isArray(on) || on.some((kind) => !kinds.includes(kind as string))) return `has an "on" that is no list of ${kinds.join(', ')}`;
  if (!Array.isArray(pipelines) || pipelines.some((name) => typeof name !== 'string')) return 'has "pipelines" that are no list of names';
  return undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
