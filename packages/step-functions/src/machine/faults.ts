import type { Definition, State } from '../asl.ts';
import { longestOverrides } from '../work/worker.ts';
import { longestName } from './names.ts';

/** Bytes that a state, or the input of one, may have. */
const largestPayload = 262_144;

/** `.sync` and `.waitForTaskToken` exist for these only. */
const patterns: Readonly<Record<string, readonly string[]>> = {
  'ecs:runTask': ['.sync', '.waitForTaskToken'],
  'glue:startJobRun': ['.sync'],
  'states:startExecution': ['.sync:2', '.sync', '.waitForTaskToken'],
  'lambda:invoke': ['', '.waitForTaskToken'],
  'events:putEvents': ['', '.waitForTaskToken'],
  'sns:publish': ['', '.waitForTaskToken'],
};

/** What is wrong with a definition that validators of the language do not see, a line each. */
export function faultsOf(definition: Definition): string[] {
  const names = new Set<string>();
  const faults: string[] = [];
  const walk = ({ StartAt, States }: Definition): void => {
    if (!States[StartAt]) faults.push(`it starts at "${StartAt}", which is not there`);
    for (const [name, state] of Object.entries(States)) {
      if (names.has(name)) faults.push(`two states are named "${name}"`);
      names.add(name);
      if (name.length > longestName || !/^[ -~]+$/.test(name))
        faults.push(`"${name}" is no name of at most ${longestName} characters of ASCII`);
      for (const next of nextsOf(state)) if (!States[next]) faults.push(`"${name}" goes to "${next}", which is not there`);
      faults.push(...stateFaults(state).map((fault) => `"${name}" ${fault}`));
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

function stateFaults(state: State): string[] {
  const faults: string[] = [];
  const handlers = [...('Retry' in state ? (state.Retry ?? []) : []), ...('Catch' in state ? (state.Catch ?? []) : [])];
  for (const [at, { ErrorEquals }] of handlers.entries()) {
    const retries = 'Retry' in state ? (state.Retry?.length ?? 0) : 0;
    const last = at === retries - 1 || at === handlers.length - 1;
    if (ErrorEquals.includes('States.ALL') && (ErrorEquals.length > 1 || !last)) faults.push('has States.ALL that is not alone and last');
  }
  if (state.Type !== 'Task') return faults;
  const { TimeoutSeconds, HeartbeatSeconds, Resource, Parameters } = state;
  if (HeartbeatSeconds !== undefined && TimeoutSeconds !== undefined && HeartbeatSeconds >= TimeoutSeconds)
    faults.push(`waits ${HeartbeatSeconds} s for a heartbeat and only ${TimeoutSeconds} s in all`);
  const text = JSON.stringify(Parameters ?? {});
  if (Resource.endsWith('.waitForTaskToken') && !text.includes('$$.Task.Token')) faults.push('waits for a token that it gives to nobody');
  if (Buffer.byteLength(text) > largestPayload) faults.push(`has parameters of more than ${largestPayload} bytes`);
  const overrides = JSON.stringify((Parameters?.['Overrides'] as object | undefined) ?? {});
  if (overrides.length > longestOverrides) faults.push(`overrides more than ${longestOverrides} characters of its task definition`);
  faults.push(...resourceFaults(Resource));
  return faults;
}

function resourceFaults(resource: string): string[] {
  const call = /^arn:aws[a-z-]*:states:::(.+)$/.exec(resource)?.[1];
  if (call === undefined || call.startsWith('aws-sdk:')) {
    return call && /\.sync/.test(call) ? [`uses ${call}, and calls of the SDK have no .sync`] : [];
  }
  const [, name = '', pattern = ''] = /^([^.]+)(\..+)?$/.exec(call) ?? [];
  return patterns[name]?.includes(pattern) ? [] : [`uses ${call}, which Step Functions does not have`];
}
