import type { Errand } from '../../../test/crash/attempt.ts';
import { AttemptProcess } from '../../../test/crash/processes.ts';
import { type FollowErrand, follow } from './follow-once.ts';

export interface Disturbing {
  /** The program of one attempt, and how often it passes each instant when nobody disturbs it. */
  readonly program: string;
  readonly passed: ReadonlyMap<string, number>;
  /** A place of its own, for attempts by their epochs. */
  scene(): (epoch: number) => FollowErrand;
  /** What readers see. */
  outcome(errand: FollowErrand): Promise<unknown>;
  readonly right: unknown;
}

/**
 * At each instant: an attempt falls asleep, two more are killed, a fourth comes to its end, and the first one wakes up. Answers where it then
 * looks otherwise than it should, or where the sleeper was not refused.
 */
export async function disturbedAt(points: readonly string[], { program, passed, scene, outcome, right }: Disturbing): Promise<object> {
  const differences: Record<string, unknown> = {};
  const processAt = (errand: FollowErrand, failpoint: string) => new AttemptProcess(program, errand as unknown as Errand, failpoint);
  const disturb = async (point: string): Promise<void> => {
    const errand = scene();
    const times = passed.get(point) as number;
    const sleeper = processAt(errand(1), `${point}:${Math.ceil(times / 2)}:pause`);
    if (!(await sleeper.sleeps())) throw new Error(`Nobody fell asleep at ${point}: ${(await sleeper.ended).said}`);
    const killed = await processAt(errand(2), point).end();
    const again = await processAt(errand(3), `${point}:${Math.ceil(times / 3)}`).end();
    await follow(errand(4));
    const before = JSON.stringify(await outcome(errand(4)));
    const woken = await sleeper.wake();
    const after = JSON.stringify(await outcome(errand(4)));
    const isRefused = woken.how === 'done' || /ATTEMPT_FENCED|CONNECTION_FAILED|LOAD_CONFLICT/.test(woken.said);
    if (!isRefused || after !== JSON.stringify(right) || before !== after)
      differences[point] = { killed: killed.how, again: again.how, woken: `${woken.how} ${woken.said.slice(0, 300)}`, before, after };
  };
  const queue = [...points];
  const lane = async (): Promise<void> => {
    for (let point = queue.shift(); point; point = queue.shift()) await disturb(point);
  };
  await Promise.all([lane(), lane(), lane()]);
  return differences;
}
