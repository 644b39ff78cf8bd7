import { setTimeout as sleep } from 'node:timers/promises';
import { engineFailpoints } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { drive } from '../../test/drive.ts';
import { gate, type TestProject, testProject } from '../../test/project.ts';
import { workerFailpoints } from './failpoints.ts';

let project: TestProject;
beforeAll(async () => {
  project = await testProject();
});
afterAll(() => project[Symbol.asyncDispose]());

interface Ended {
  /** Of the process. */
  readonly how: string;
  readonly run?: string;
  readonly continued?: boolean;
  readonly state?: { readonly at: string };
}

function start(file: string, failpoint = '') {
  const child = drive(project, file, { MILLRACE_FAILPOINT: failpoint });
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stderr.on('data', (text) => {
    err += text;
  });
  const ended = new Promise<Ended>((resolve) =>
    child.once('close', (code, signal) =>
      resolve({ how: signal ?? `exit ${code}${code ? `: ${err}` : ''}`, ...(out ? (JSON.parse(out) as object) : {}) }),
    ),
  );
  return { child, ended };
}

/** See cli/test/help.pg.test.ts. */
const ofHelp = new Set<string>(['worker.stage.joined', 'engine.splits.offered']);
/** See elsewhere.pg.test.ts. */
const ofRemote = (point: string): boolean => point.startsWith('engine.remote.') || point.startsWith('worker.look.');
const points = [...workerFailpoints, ...engineFailpoints].filter(
  (point) =>
    point !== 'worker.run.created' &&
    point !== 'engine.execute.done' &&
    !point.startsWith('engine.stream.') &&
    !ofHelp.has(point) &&
    !ofRemote(point),
);

/** Those between an act and the note of it. */
const twice = new Set<string>(['worker.outcome.known', 'engine.part.stored', 'engine.load.committed']);

/** Some failpoints are passed once in two stages: a part that was staged before is not staged again. */
const loadCount = 2 * points.length;

/** Loads one after the other, enough for every failpoint, and a procedure at the end. */
const row = (): string => {
  const loads = Array.from(
    { length: loadCount },
    (_, i) => `const load${i} = load(rows, ledgerTarget('row-${i}'), { after: [${i > 0 ? `load${i - 1}` : ''}] });`,
  );
  return project.pipeline(
    'row',
    `const rows = extract(numbersOf(1));
     ${loads.join('\n')}
     const called = ledgerCall('row', [load${loadCount - 1}]);
     export default pipeline({ name: 'row', steps: { rows, ${loads.map((_, i) => `load${i}`).join(', ')}, called } });`,
  );
};

it('a machine that dies at every instant there is costs time and neither loses nor doubles anything', {
  timeout: 300_000,
}, async () => {
  const file = row();
  expect(await start(file, 'worker.run.created').ended).toMatchObject({ how: 'SIGKILL' });
  for (const point of points) {
    // Past it once, so that a stage is done in between: a stage that takes its worker along again and again is given up.
    expect(await start(file, `${point}:2`).ended, `${point} in the next stage`).toMatchObject({ how: 'SIGKILL' });
    if (twice.has(point)) expect(await start(file, point).ended, `${point} again`).toMatchObject({ how: 'SIGKILL' });
  }
  expect(await start(file, 'engine.execute.done').ended).toMatchObject({ how: 'SIGKILL' });
  expect(await start(file, 'engine.execute.done').ended).toMatchObject({ how: 'SIGKILL' });
  expect(await start(file).ended).toMatchObject({ how: 'exit 0', state: { at: 'succeeded' }, continued: true });
  for (let i = 0; i < loadCount; i++) expect(await project.rows(`row-${i}`), `row-${i}`).toEqual(Array.from({ length: 10 }, (_, n) => n));
  expect(await project.calls()).toEqual(['row']);
  const executor = await project.executor();
  expect(await executor.list({ pipeline: 'row' })).toHaveLength(1);
});

it('a Ctrl-C leaves a run that the next process goes on with', { timeout: 90_000 }, async () => {
  const file = project.pipeline(
    'interrupted',
    `const rows = extract(numbersOf(4)); const facts = each(rows, ${gate('interrupted')}); const loaded = load(facts, ledgerTarget('interrupted'));
     export default pipeline({ name: 'interrupted', steps: { rows, facts, loaded } });`,
  );
  const first = start(file);
  const executor = await project.executor();
  let run = '';
  for (let i = 0; i < 800 && run === ''; i++) {
    const [open] = await executor.list({ pipeline: 'interrupted' });
    if (open?.stages.running === 1) run = open.id;
    else await sleep(50);
  }
  first.child.kill('SIGINT');
  expect(await first.ended).toMatchObject({ how: expect.stringMatching(/^exit 130/) });
  expect(await executor.show(run)).toMatchObject({ abandoned: true, stages: [{ state: { at: 'ready' } }] });
  project.open('interrupted');
  expect(await start(file).ended).toMatchObject({ how: 'exit 0', run, continued: true, state: { at: 'succeeded' } });
  expect(await project.rows('interrupted')).toHaveLength(40);
});
