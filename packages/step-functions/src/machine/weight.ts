import type { Definition, State } from '../asl.ts';

/** What a machine takes of the limits that end an execution, or refuse a machine. */
export interface Weight {
  /** Events of the history, at worst: with every retry, and with every branch of a choice, which is a little too much. */
  readonly events: number;
  /** Of the definition as JSON. */
  readonly bytes: number;
}

export const weigh = (definition: Definition): Weight => ({
  events: 2 + eventsIn(definition),
  bytes: Buffer.byteLength(JSON.stringify(definition)),
});

const eventsIn = ({ States }: Definition): number => Object.values(States).reduce((sum, state) => sum + eventsOf(state), 0);

/** Entered and exited, and what is between. https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html */
function eventsOf(state: State): number {
  switch (state.Type) {
    case 'Task': {
      const attempts = 1 + (state.Retry ?? []).reduce((sum, { MaxAttempts }) => sum + MaxAttempts, 0);
      // Scheduled, started, submitted, and how it ended.
      return 2 + 4 * attempts;
    }
    case 'Parallel':
      return 4 + state.Branches.reduce((sum, branch) => sum + eventsIn(branch), 0);
    case 'Map':
      // Iterations of a distributed one have histories of their own.
      return 'ExecutionType' in state.ItemProcessor.ProcessorConfig ? 8 : 4 + state.MaxConcurrency * (2 + eventsIn(state.ItemProcessor));
    default:
      return 2;
  }
}
