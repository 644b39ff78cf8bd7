import type { Command } from './command.ts';
import { hashTag } from './key-template.ts';
import { slotCount, slotOf, slotTags } from './slots.ts';

const slotsAtOnce = 512;

/** Takes one over, for a turn, if it remembers a turn. Answers what the script says. */
type TakeFence = (fence: string, words: readonly [turn: string, known: string]) => Promise<readonly [said: string, ...unknown[]]>;

/** The fences of a cluster: one for each slot, since a script sees the keys of one slot only. */
export class SlotFences {
  readonly #state: string;
  readonly #take: TakeFence;

  constructor(state: string, take: TakeFence) {
    this.#state = state;
    this.#take = take;
  }

  of(slot: number): string {
    return `millrace:{${slotTags()[slot]}}:fence:${this.#state}`;
  }

  /**
   * All of them: what an attempt that sleeps may write to is not known. False where one does not remember the takeover that all of them had: its
   * shard has lost what it was told, and its keys with it.
   */
  async take(turn: string, known: string): Promise<boolean> {
    for (let from = 0; from < slotCount; from += slotsAtOnce) {
      const some = Array.from({ length: Math.min(slotsAtOnce, slotCount - from) }, (_, place) => from + place);
      const taken = await Promise.all(some.map((slot) => this.#take(this.of(slot), [turn, known])));
      if (taken.some(([said]) => said === 'GONE')) return false;
    }
    return true;
  }
}

/** Commands by the slots of their keys. */
export function slotsOf(commands: readonly Command[]): [slot: number, commands: Command[]][] {
  const slots = new Map<number, Command[]>();
  for (const command of commands) {
    const slot = slotOf(hashTag(command[1]));
    const some = slots.get(slot);
    some ? some.push(command) : slots.set(slot, [command]);
  }
  return [...slots];
}
