import { isDeepStrictEqual } from 'node:util';
import { AttemptProcess, passes } from './processes.ts';
import { disturbedRun, type Scene, type Stage, sceneOf } from './scene.ts';
import type { CrashWay } from './ways.ts';

export interface Disturbed {
  /** Failpoints at which it was disturbed. */
  readonly points: readonly string[];
  /** By failpoint: what was not as after an undisturbed run. */
  readonly differences: Readonly<Record<string, string>>;
}

/** Scenes side by side: a case waits more than it works. */
const atOnce = 3;

/** Disturbs the second run of a way at each failpoint that it passes. */
export async function disturb(way: CrashWay, stage: Stage): Promise<Disturbed> {
  await using before = await sceneOf(way, stage);
  const calm = await before.again();
  const passed = await passes(stage.program, calm.errand(disturbedRun, 1));
  const expected = await outcome(calm);
  await calm[Symbol.asyncDispose]();
  const points = [...passed].filter(([point]) => (way.at ?? /^(?!engine)/).test(point));
  const cases = points.flatMap(([point, times]) => [
    { name: point, act: (scene: Scene) => killed(scene, stage.program, point, times) },
    { name: `${point}, asleep`, act: (scene: Scene) => asleep(scene, stage.program, point) },
  ]);
  const differences: Record<string, string> = {};
  const lane = async (from: Scene): Promise<void> => {
    for (let next = cases.shift(); next; next = cases.shift()) {
      try {
        await using scene = await from.again();
        const notes = await next.act(scene);
        const found = await outcome(scene);
        if (!isDeepStrictEqual(found, expected)) differences[next.name] = `${notes} ${firstDifference(found, expected)}`;
      } catch (error) {
        differences[next.name] =
          error instanceof Error ? `${error.message} ${(error.cause as Error | undefined)?.message ?? ''}` : String(error);
      }
    }
  };
  const another = async (): Promise<void> => {
    await using own = await sceneOf(way, stage);
    await lane(own);
  };
  await Promise.all([lane(before), ...Array.from({ length: atOnce - 1 }, another)]);
  return { points: points.map(([point]) => point), differences };
}

/** After the run, and after one more where that is cheap: it finds nothing left of the attempts that came to nothing. */
async function outcome(scene: Scene): Promise<Record<string, unknown>> {
  const state = await scene.state();
  if (scene.way.over) return { state };
  await scene.run(disturbedRun + 1, 1);
  return { state, next: await scene.state(), leftovers: await scene.leftovers() };
}

/** The first attempt dies when it comes past the point for the last time, the second one where it first does. */
async function killed(scene: Scene, program: string, point: string, times: number): Promise<string> {
  const first = await new AttemptProcess(program, scene.errand(disturbedRun, 1), `${point}:${times}`).end();
  if (first.how !== 'killed') throw new Error(`The first attempt was not killed but ${first.how}: ${first.said}`);
  const second = await new AttemptProcess(program, scene.errand(disturbedRun, 2), point).end();
  if (second.how === 'failed') throw new Error(`The second attempt failed: ${second.said}`);
  await scene.run(disturbedRun, 3);
  return '';
}

/** An attempt falls asleep at the point, its successor runs to the end, and then it wakes up. */
async function asleep(scene: Scene, program: string, point: string): Promise<string> {
  const zombie = new AttemptProcess(program, scene.errand(disturbedRun, 1), `${point}:1:pause`);
  try {
    if (!(await zombie.sleeps())) throw new Error(`The attempt did not fall asleep: ${(await zombie.ended).said}`);
    await inTime(scene.run(disturbedRun, 2), 'The successor waits for the one that sleeps.');
    const before = await scene.state();
    const { how, said } = await zombie.wake();
    const after = await scene.state();
    if (!isDeepStrictEqual(after, before))
      throw new Error(`It woke, was ${how} (${said.slice(0, 300)}) and changed something: ${firstDifference(after, before)}`);
    return `The one that woke was ${how}.`;
  } finally {
    zombie.kill();
  }
}

async function inTime(work: Promise<void>, otherwise: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(otherwise)), 25_000);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Where two plain values first differ, with both sides cut to what a person reads. */
function firstDifference(found: unknown, expected: unknown, path = ''): string {
  if (isObject(found) && isObject(expected)) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(found)])) {
      if (!isDeepStrictEqual(found[key], expected[key])) return firstDifference(found[key], expected[key], `${path}/${key}`);
    }
  }
  return `${path}: ${cut(found)} instead of ${cut(expected)}`;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const cut = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 200);
