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

/** One that takes so many times as long as an undisturbed attempt, on this machine and beside all else that it does, waits for something. */
const patience = 20;
const leastPatienceMs = 25_000;

/** Disturbs the second run of a way at each failpoint that it passes. */
export async function disturb(way: CrashWay, stage: Stage): Promise<Disturbed> {
  await using before = await sceneOf(way, stage);
  const calm = await before.again();
  const began = performance.now();
  const passed = await passes(stage.program, calm.errand(disturbedRun, 1));
  const patienceMs = Math.max(leastPatienceMs, patience * (performance.now() - began));
  const expected = await outcome(calm);
  await calm[Symbol.asyncDispose]();
  const points = [...passed].filter(([point]) => (way.at ?? /^(?!engine)/).test(point));
  const differences: Record<string, string> = {};
  const compare = async (name: string, from: Scene, act: (scene: Scene) => Promise<Told>): Promise<Told> => {
    let told: Told = { killed: 0, notes: '' };
    try {
      await using scene = await from.again();
      told = await act(scene);
      const found = await outcome(scene);
      if (!isDeepStrictEqual(found, expected)) differences[name] = `${told.notes} ${firstDifference(found, expected)}`;
    } catch (error) {
      differences[name] = error instanceof Error ? `${error.message} ${(error.cause as Error | undefined)?.message ?? ''}` : String(error);
    }
    return told;
  };
  const queue = [...points];
  const lane = async (from: Scene): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [point, times] = next;
      const { killed } = await compare(point, from, (scene) =>
        asleepAndKilled(scene, { program: stage.program, point, times, patienceMs }),
      );
      // Whoever came after the sleeper found everything done: then nobody has been killed there yet.
      if (killed === 0) await compare(`${point}, killed`, from, (scene) => killedTwice(scene, stage.program, point, times));
    }
  };
  const another = async (): Promise<void> => {
    await using own = await sceneOf(way, stage);
    await lane(own);
  };
  await Promise.all([lane(before), ...Array.from({ length: Math.min(atOnce, points.length) - 1 }, another)]);
  return { points: points.map(([point]) => point), differences };
}

/** After the run, and after one more where that is cheap: it finds nothing left of the attempts that came to nothing. */
async function outcome(scene: Scene): Promise<Record<string, unknown>> {
  const state = await scene.state();
  if (scene.way.over) return { state };
  await scene.run(disturbedRun + 1, 1);
  return { state, next: await scene.state(), leftovers: await scene.leftovers() };
}

interface Told {
  /** How many attempts were killed. */
  readonly killed: number;
  readonly notes: string;
}

/**
 * One attempt falls asleep when it comes past the point for the last time, two more are killed where they first do, the fourth runs to the
 * end, and then the first wakes up: it must change nothing.
 */
async function asleepAndKilled(
  scene: Scene,
  { program, point, times, patienceMs }: { program: string; point: string; times: number; patienceMs: number },
): Promise<Told> {
  const sleeper = new AttemptProcess(program, scene.errand(disturbedRun, 1), `${point}:${times}:pause`);
  try {
    if (!(await sleeper.sleeps())) throw new Error(`The attempt did not fall asleep: ${(await sleeper.ended).said}`);
    let killed = 0;
    for (const epoch of [2, 3]) killed += await die(scene, program, point, epoch);
    await inTime(scene.run(disturbedRun, 4), patienceMs, 'The successor waits for the one that sleeps.');
    const before = await scene.state();
    const { how, said } = await sleeper.wake();
    const after = await scene.state();
    if (!isDeepStrictEqual(after, before))
      throw new Error(`It woke, was ${how} (${said.slice(0, 300)}) and changed something: ${firstDifference(after, before)}`);
    return { killed, notes: `${killed} were killed, and the one that woke was ${how}.` };
  } finally {
    sleeper.kill();
  }
}

/** The first attempt dies when it comes past the point for the last time, the second one where it first does, if it does. */
async function killedTwice(scene: Scene, program: string, point: string, times: number): Promise<Told> {
  const first = await die(scene, program, `${point}:${times}`, 1);
  if (first === 0) throw new Error('The first attempt was not killed.');
  const killed = first + (await die(scene, program, point, 2));
  await scene.run(disturbedRun, 3);
  return { killed, notes: `${killed} were killed.` };
}

/** Runs an attempt that is to be killed; 0 where it came to its end, since an earlier one had done all. */
async function die(scene: Scene, program: string, failpoint: string, epoch: number): Promise<0 | 1> {
  const { how, said } = await new AttemptProcess(program, scene.errand(disturbedRun, epoch), failpoint).end();
  if (how === 'failed') throw new Error(`Attempt ${epoch} failed: ${said}`);
  return how === 'killed' ? 1 : 0;
}

async function inTime(work: Promise<void>, patienceMs: number, otherwise: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(otherwise)), patienceMs);
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
