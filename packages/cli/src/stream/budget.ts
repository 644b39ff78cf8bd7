/** What a slot has used of the log that the source keeps for it, in percent. */
export const share = (used: number, budget: number): number => (budget <= 0 ? 100 : Math.min(100, Math.floor((100 * used) / budget)));

/** Milliseconds until the budget is used up at this growth; null where it does not grow. */
export function timeLeft(used: number, budget: number, growthPerSecond: number): number | null {
  return growthPerSecond > 0 ? (Math.max(0, budget - used) / growthPerSecond) * 1000 : null;
}
