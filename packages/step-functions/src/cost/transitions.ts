import type { Definition, State } from '../asl.ts';
import type { StateMachines } from '../compile.ts';
import { starterId } from '../machine/starter.ts';

/** States that an execution enters where all goes well at the first attempt, in all machines; what Step Functions is paid for. */
export function transitionsOf({ main, others }: StateMachines): number {
  // Machines that watch are counted by how long they watch.
  const parts = new Map(others.filter(({ id }) => id.startsWith('Part')).map(({ id, definition }) => [`\${${id}Arn}`, definition]));
  const through = (definition: Definition): number => {
    let count = 0;
    for (let name: string | undefined = definition.StartAt; name !== undefined; ) {
      const state: State | undefined = definition.States[name];
      if (!state) break;
      count += 1 + inside(state);
      name = onward(state, definition);
    }
    return count;
  };
  const inside = (state: State): number => {
    if (state.Type === 'Parallel') return state.Branches.reduce((sum, branch) => sum + through(branch), 0);
    if (state.Type === 'Map') return state.MaxConcurrency * through(state.ItemProcessor);
    const part = state.Type === 'Task' ? parts.get(String(state.Parameters?.['StateMachineArn'])) : undefined;
    return part ? through(part) : 0;
  };
  const starter = others.find(({ id }) => id === starterId);
  return through(main.definition) + (starter ? through(starter.definition) : 0);
}

/** Where it goes when nothing failed: a choice takes its default, unless that is the failure. */
function onward(state: State, { States }: Definition): string | undefined {
  if (state.Type === 'Choice') return States[state.Default]?.Type === 'Fail' ? state.Choices[0]?.Next : state.Default;
  return 'Next' in state ? state.Next : undefined;
}

/** Looks at work of so many seconds, with pauses that double from `first` to `longest`. */
export function looksIn(seconds: number, first: number, longest: number): number {
  let looks = 0;
  for (let [at, pause] = [0, first]; at < seconds; at += pause, pause = Math.min(longest, pause * 2)) looks++;
  return Math.max(1, looks);
}
