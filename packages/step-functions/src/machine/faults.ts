import type { Definition, Parallel, State } from '../asl.ts';
import { longestOverrides } from '../work/worker.ts';
import { longestName } from './names.ts';

/** Bytes that a state, or the input of one, may have. */
const largestPayload = 262_144;

/** `.sync` and `.waitForTaskToken` exist for these only. */
const patterns: Readonly<Record<string, readonly string[]>> = {
  'ecs:runTask': ['.sync', '.waitForTaskToken'],
  'glue:startJobRun': ['.sync'],
  'states:startExecution': ['', '.sync:2', '.sync', '.waitForTaskToken'],
  'lambda:invoke': ['', '.waitForTaskToken'],
  'events:putEvents': ['', '.waitForTaskToken'],
  'sns:publish': ['', '.waitForTaskToken'],
};

/** Functions in one field. */
const mostFunctions = 10;

/** Characters of a task token. https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html */
const longestToken = 2_048;

/** What is wrong with a definition that validators of the language do not see, a line each. `largest`: the largest state that it works on, as JSON. */
export function faultsOf(definition: Definition, largest = '{}'): string[] {
  const names = new Set<string>();
  const faults: string[] = [];
  if (Buffer.byteLength(largest) > largestPayload) faults.push(`its state may have more than ${largestPayload} bytes`);
  const walk = ({ StartAt, States }: Definition): void => {
    if (!States[StartAt]) faults.push(`it starts at "${StartAt}", which is not there`);
    for (const [name, state] of Object.entries(States)) {
      if (names.has(name)) faults.push(`two states are named "${name}"`);
      names.add(name);
      if (name.length > longestName || !/^[ -~]+$/.test(name))
        faults.push(`"${name}" is no name of at most ${longestName} characters of ASCII`);
      for (const next of nextsOf(state)) if (!States[next]) faults.push(`"${name}" goes to "${next}", which is not there`);
      faults.push(...stateFaults(state, largest).map((fault) => `"${name}" ${fault}`));
      if (state.Type === 'Parallel') state.Branches.forEach(walk);
      if (state.Type === 'Map') walk(state.ItemProcessor);
    }
  };
  walk(definition);
  return faults;
}

function nextsOf(state: State): string[] {
  return [
    ...('Next' in state ? [state.Next] : []),
    ...('Catch' in state ? (state.Catch ?? []).map(({ Next }) => Next) : []),
    ...(state.Type === 'Choice' ? [...state.Choices.map(({ Next }) => Next), state.Default] : []),
  ];
}

function stateFaults(state: State, largest: string): string[] {
  const faults: string[] = [];
  const handlers = [...('Retry' in state ? (state.Retry ?? []) : []), ...('Catch' in state ? (state.Catch ?? []) : [])];
  for (const [at, { ErrorEquals }] of handlers.entries()) {
    const retries = 'Retry' in state ? (state.Retry?.length ?? 0) : 0;
    const last = at === retries - 1 || at === handlers.length - 1;
    if (ErrorEquals.includes('States.ALL') && (ErrorEquals.length > 1 || !last)) faults.push('has States.ALL that is not alone and last');
  }
  for (const [field] of JSON.stringify({ ...state, Branches: null, ItemProcessor: null }).matchAll(/"States\.[^"]*"/g))
    if (field.split('States.').length - 1 > mostFunctions) faults.push(`nests more than ${mostFunctions} functions`);
  if (state.Type === 'Parallel' && state.ResultPath !== null && leftBytes(state, largest) > largestPayload)
    faults.push(`brings more than ${largestPayload} bytes together where all fails that may`);
  if (state.Type !== 'Task') return faults;
  const { TimeoutSeconds, HeartbeatSeconds, Resource, Parameters } = state;
  if (HeartbeatSeconds !== undefined && TimeoutSeconds !== undefined && HeartbeatSeconds >= TimeoutSeconds)
    faults.push(`waits ${HeartbeatSeconds} s for a heartbeat and only ${TimeoutSeconds} s in all`);
  const text = JSON.stringify(Parameters ?? {});
  if (Resource.endsWith('.waitForTaskToken') && !text.includes('$$.Task.Token')) faults.push('waits for a token that it gives to nobody');
  if (Buffer.byteLength(text) > largestPayload) faults.push(`has parameters of more than ${largestPayload} bytes`);
  const overrides = overridesAtMost(Parameters?.['Overrides'], largest);
  if (overrides > longestOverrides)
    faults.push(`hands ${overrides} characters of overrides to its task, where all fails that may, and ECS takes ${longestOverrides}`);
  faults.push(...resourceFaults(Resource));
  return faults;
}

/** Characters of overrides when all that is told at run time stands in them; none of it is told where nothing is overridden. */
function overridesAtMost(overrides: unknown, largest: string): number {
  if (overrides === undefined) return 0;
  const text = JSON.stringify(overrides);
  const told = (place: string, characters: number): number => (text.includes(place) ? characters : 0);
  return text.length + told('States.JsonToString($)', JSON.stringify(largest).length) + told('$$.Task.Token', longestToken);
}

/** Bytes that the branches leave behind together: each what has failed before, and what may fail in it. */
function leftBytes({ Branches }: Parallel, largest: string): number {
  const all = JSON.stringify(JSON.parse(largest).failed ?? {}).length;
  const own = Branches.flatMap((branch) => {
    const text = JSON.stringify(branch);
    if (!text.includes('"OutputPath":"$.failed"')) return [];
    // What may fail in a machine that it starts is not seen here.
    if (text.includes('"StateMachineArn":"${Part')) return [all];
    const flags = new Set([...text.matchAll(/"ResultPath":"\$\.failed\.(\w+)"/g)].map(([, flag = '']) => flag));
    return [[...flags].reduce((sum, flag) => sum + flag.length + '"":true,'.length, 0)];
  });
  const before = Math.max(0, all - own.reduce((sum, bytes) => sum + bytes, 0));
  return own.reduce((sum, bytes) => sum + Math.min(all, bytes + before), 0);
}

function resourceFaults(resource: string): string[] {
  const call = /^arn:aws[a-z-]*:states:::(.+)$/.exec(resource)?.[1];
  if (call === undefined || call.startsWith('aws-sdk:')) {
    return call && /\.sync/.test(call) ? [`uses ${call}, and calls of the SDK have no .sync`] : [];
  }
  const [, name = '', pattern = ''] = /^([^.]+)(\..+)?$/.exec(call) ?? [];
  return patterns[name]?.includes(pattern) ? [] : [`uses ${call}, which Step Functions does not have`];
}
