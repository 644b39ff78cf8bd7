import type { StreamHealth } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import type { SlotState } from './slot-state.ts';
import { endOfLog } from './system.ts';

/** Growth is that of the last minute. */
const windowMs = 60_000;
/** Warned of from here on. */
const muchOfBudget = 0.5;

/** Watches a slot from one look to the next. */
export class SlotWatch {
  readonly #looks: { readonly at: number; readonly end: bigint }[] = [];

  async look(session: Session, slot: SlotState, released: bigint, spooledBytes: number): Promise<StreamHealth> {
    const end = await endOfLog(session);
    const now = performance.now();
    this.#looks.push({ at: now, end });
    while ((this.#looks[1]?.at ?? now) < now - windowMs) this.#looks.shift();
    const first = this.#looks[0] as { at: number; end: bigint };
    const seconds = (now - first.at) / 1000;
    const growthPerSecond = seconds > 0 ? Math.round(Number(end - first.end) / seconds) : 0;
    // The server counts from the oldest segment it keeps; what is left and what is held make the whole.
    const budgetBytes = slot.safeBytes === null ? null : Math.max(0, slot.safeBytes) + slot.retained;
    const done = released > slot.confirmed ? released : slot.confirmed;
    return {
      slot: slot.name,
      state: slot.status,
      retainedBytes: slot.retained,
      budgetBytes,
      lagBytes: end > done ? Number(end - done) : 0,
      growthPerSecond,
      spooledBytes,
      warnings: warningsOf(slot, budgetBytes, growthPerSecond),
    };
  }
}

export function warningsOf(slot: SlotState, budgetBytes: number | null, growthPerSecond: number): string[] {
  const warnings: string[] = [];
  if (slot.status === 'unreserved')
    warnings.push(`The slot holds more log than max_slot_wal_keep_size allows and is lost at the next checkpoint.`);
  if (budgetBytes !== null && budgetBytes > 0 && slot.retained >= budgetBytes * muchOfBudget) {
    const left = Math.max(0, budgetBytes - slot.retained);
    const time = growthPerSecond > 0 ? `, which at ${bytes(growthPerSecond)}/s lasts ${duration(left / growthPerSecond)}` : '';
    warnings.push(
      `The slot holds ${Math.round((slot.retained / budgetBytes) * 100)} % of the log it may hold (${bytes(slot.retained)} of ${bytes(budgetBytes)})${time}. Find out what holds the targets up, or raise max_slot_wal_keep_size.`,
    );
  }
  return warnings;
}

function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = count;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
