import type { StreamHealth, StreamProgress } from '@millrace/core/runtime';
import { counted } from '../text/amount.ts';

/** What somebody should look at, one sentence each: what the source says of its slot, and what the sinks have set aside. */
export function warningsOf(stream: Pick<StreamProgress, 'sinks'> | null, health: StreamHealth | null): string[] {
  const letters = (stream?.sinks ?? []).filter(({ deadLetters }) => deadLetters > 0);
  return [
    ...(health?.warnings ?? []),
    ...letters.map(
      ({ name, deadLetters }) => `${counted(deadLetters, 'change')} could not be applied and went to the dead letters of "${name}".`,
    ),
  ];
}
