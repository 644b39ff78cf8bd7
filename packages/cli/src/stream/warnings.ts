import type { StreamHealth, StreamProgress } from '@millrace/core/runtime';
import { bytes, counted, duration } from '../text/amount.ts';
import { share, timeLeft } from './budget.ts';

/** Of the budget: above the first a person should look, above the second at once. */
const noticeAt = 50;
const alarmAt = 80;

/** What somebody should look at, one sentence each, the most urgent first. */
export function warningsOf(stream: Pick<StreamProgress, 'sinks'> | null, health: StreamHealth | null): string[] {
  const letters = (stream?.sinks ?? []).filter(({ deadLetters }) => deadLetters > 0);
  return [
    ...(health ? slotWarnings(health) : []),
    ...letters.map(
      ({ name, deadLetters }) => `${counted(deadLetters, 'change')} could not be applied and went to the dead letters of "${name}".`,
    ),
  ];
}

/** The source's own, and one about its budget where it has said nothing about that. */
function slotWarnings(health: StreamHealth): readonly string[] {
  const { warnings, retainedBytes, budgetBytes, growthPerSecond } = health;
  const used = budgetBytes === null ? 0 : share(retainedBytes, budgetBytes);
  if (budgetBytes === null || used < noticeAt || warnings.some((warning) => warning.includes('max_slot_wal_keep_size'))) return warnings;
  const left = timeLeft(retainedBytes, budgetBytes, growthPerSecond);
  const lost = left === null ? '' : `; at the present growth it is lost in ${duration(left)}`;
  const look = used >= alarmAt ? 'Act now: let' : 'Let';
  return [
    `The slot has used ${used} % of the ${bytes(budgetBytes)} of log that the source keeps for it${lost}. ${look} the stream catch up, or raise max_slot_wal_keep_size.`,
    ...warnings,
  ];
}
