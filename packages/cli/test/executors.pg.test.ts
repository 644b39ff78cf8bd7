import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runs } from './executors/project.ts';
import { type Kind, type World, world } from './executors/world.ts';

/*
 * The same pipelines on this machine, on a fleet and as state machines: what is at the target and in the lake afterwards, and what the run's
 * record says, is the same. Whatever moves data is real: the command, its processes, Postgres.
 */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

/** What a command says at the end, as `runs show` does. */
interface Shown {
  readonly run: string;
  readonly state: { readonly at: string; readonly error?: { readonly code: string } };
  readonly request: Readonly<Record<string, unknown>>;
  readonly plan: string;
  readonly stages: readonly ShownStage[];
}
interface ShownStage {
  readonly id: string;
  readonly lane: string;
  readonly state: Readonly<Record<string, unknown>> & { readonly at: string };
  readonly attempts: readonly { readonly attempt: number; readonly result: string; readonly error: { readonly code: string } | null }[];
}

const kinds: readonly Kind[] = ['local', 'fleet', 'step-functions'];
const worlds = new Map<Kind, World>();
const seen = new Map<Kind, Map<string, Shown>>();

beforeAll(async () => {
  await Promise.all(kinds.map(async (kind) => worlds.set(kind, await world(kind))));
  await Promise.all(kinds.map(runAll));
});
afterAll(() => Promise.all([...worlds.values()].map((one) => one[Symbol.asyncDispose]())));

async function runAll(kind: Kind): Promise<void> {
  const { millrace, mend } = worlds.get(kind) as World;
  const results = new Map<string, Shown>();
  seen.set(kind, results);
  const resultOf = async (code: number, ...args: readonly string[]): Promise<Shown> => {
    const result = await millrace(...args, '--json');
    const last = result.json<Shown & { readonly type: string }>().at(-1);
    if (result.code === code && last?.type === 'result') return last;
    throw new Error(`millrace ${args.join(' ')}, ${kind}: exit code ${result.code}, not ${code}\n${result.stdout}\n${result.stderr}`);
  };
  for (const { pipeline, args, code, mend: by } of runs) {
    let result = await resultOf(by === undefined ? code : 1, 'run', pipeline, ...args);
    if (by !== undefined) {
      await mend(by);
      result = await resultOf(code, 'runs', 'retry', result.run);
    }
    results.set(pipeline, result);
  }
}

/** Without what is another each time: ids, times, and how a service calls its work. */
function recordOf({ state, request, plan, stages }: Shown): unknown {
  const { file: _, idempotencyKey: __, ...asked } = request;
  return {
    plan,
    request: asked,
    state: state.at,
    error: state.error?.code ?? null,
    stages: stages.map(({ id, lane, state, attempts }) => ({
      id,
      lane,
      state: withoutTimes(state),
      attempts: attempts.map(({ attempt, result, error }) => ({ attempt, result, error: error?.code ?? null })),
    })),
  };
}

function withoutTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTimes);
  if (typeof value !== 'object' || value === null) return value;
  const changing = ['since', 'database', 'handle', 'location', 'manifest', 'loadId', 'committedAt', 'bytes', 'splits'];
  const of = value as Readonly<Record<string, unknown>>;
  if (of['kind'] === 'remote') return { kind: 'remote', label: of['label'] };
  return Object.fromEntries(Object.entries(of).flatMap(([name, one]) => (changing.includes(name) ? [] : [[name, withoutTimes(one)]])));
}

const others = kinds.filter((kind) => kind !== 'local');

test.each(others.flatMap((kind) => runs.map(({ pipeline }) => [kind, pipeline] as const)))(
  '%s has the same record of %s',
  (kind, pipeline) => {
    const [there, here] = [kind, 'local' as const].map((one) => recordOf(seen.get(one)?.get(pipeline) as Shown));
    expect(there).toEqual(here);
  },
);

test.each(others)('%s has moved the same rows, and its checkpoints are the same', async (kind) => {
  const [there, here] = await Promise.all([worlds.get(kind), worlds.get('local')].map((one) => (one as World).target()));
  expect(there).toEqual(here);
  expect(Object.keys(here ?? {})).toEqual(['before_it', 'by_hand', 'copied', 'joined', 'kept', 'killed', 'large', 'loaded', 'checkpoints']);
  expect(here?.['loaded']).toEqual([]);
  expect(here?.['copied']).toHaveLength(1000);
});

test.each(others)('%s has written the same files, and has asked the service for the same', (kind) => {
  const [there, here] = [worlds.get(kind), worlds.get('local')] as [World, World];
  expect(there.lake()).toEqual(here.lake());
  expect(there.jobs()).toEqual(here.jobs());
  expect(here.jobs()).toEqual([{ JobName: 'report', Arguments: { '--date': '2026-03-29', '--country': 'DE' } }]);
});

test('Ctrl-C leaves an execution running; watching goes on with it, and a cancel ends it', async () => {
  const { start, millrace } = worlds.get('step-functions') as World;
  const running = start('run', 'slow', '--json');
  await running.said('"stage.started"');
  running.process.kill('SIGINT');
  const left = await running.ended;
  expect({ code: left.code, last: left.json().at(-1) }).toMatchObject({ code: 130, last: { type: 'interrupted' } });
  const { run } = left.json<{ run: string }>()[0] as { run: string };
  const watching = start('runs', 'watch', run);
  await watching.said('sleeps');
  expect((await millrace('runs', 'cancel', run)).code).toBe(0);
  expect(await watching.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('Cancelled.') });
});

test('a task that reports itself by a token says the code of its error, which is how the execution ends', async () => {
  const { millrace, deploy, errorOf } = worlds.get('step-functions') as World;
  await deploy('quality', 'tokens');
  const result = await millrace('run', 'quality', '--date', '2026-03-29', '--env', 'tokens', '--json');
  const last = result.json<Shown>().at(-1) as Shown;
  expect(result.code).toBe(5);
  await expect.poll(() => errorOf(last.run), { timeout: 60_000 }).toBe('CHECK_FAILED');
  expect(recordOf(last)).toEqual(recordOf(seen.get('local')?.get('quality') as Shown));
});
