import { expect, it, test } from 'vitest';
import { pipeline, type RemoteParameters, remote, run, type Step } from '../author/index.ts';
import { type RemoteTask, secret } from '../connector/index.ts';
import { check, compile } from './compile.ts';
import { renderPlan, toMermaid, toSvg } from './index.ts';

/** A service that exists on paper only. */
const task = (description: Partial<RemoteTask['description']> = {}): RemoteTask => {
  const never = () => Promise.reject(new Error('not called'));
  const facts = { service: 'glue', action: 'StartJobRun', label: 'Glue job nightly', region: 'eu-west-1', starts: 'once' } as const;
  return {
    description: { ...facts, watched: true, pollMs: 10_000, facts: { cost: 'DPU hours' }, ...description },
    start: never,
    adopt: never,
    poll: never,
    cancel: never,
  };
};
const of = (steps: Record<string, Step>) => pipeline({ name: 'test', params: { country: 'FR' }, steps });
const problemsOf = (parameters: unknown) => check(of({ job: remote(task(), parameters as RemoteParameters) })).problems;

it('a remote step is a stage of its own, described for people and for compilers of state machines', () => {
  const parameters = { JobName: 'nightly', Arguments: { '--date': run.date, '--in': ['EU', run.param('country')] }, Left: undefined };
  const job = remote(task(), parameters as never, { timeout: '2h', pool: 'glue' });
  const plan = compile(of({ job, next: remote(task({ label: 'Glue job next' }), {}, { after: [job] }) }));
  expect(plan.stages).toMatchObject([
    { id: 'job', kind: 'remote', lane: 'server', needs: [], timeoutMs: 7_200_000, limits: [{ kind: 'pool', name: 'glue' }] },
    { id: 'next', kind: 'remote', needs: ['job'] },
  ]);
  const [step] = plan.steps;
  expect(step).toMatchObject({ kind: 'remote', does: 'Glue job nightly (glue:StartJobRun)', columns: null });
  expect(step?.description).toEqual({
    connector: 'glue',
    ...task().description,
    parameters: { JobName: 'nightly', Arguments: { '--date': { $run: 'date' }, '--in': ['EU', { $run: 'params.country' }] } },
  });
});

it('is another plan with another parameter, and the same with the same', () => {
  const fingerprintOf = (date: string) => compile(of({ job: remote(task(), { date }) })).fingerprint;
  expect(fingerprintOf('monday')).toBe(fingerprintOf('monday'));
  expect(fingerprintOf('monday')).not.toBe(fingerprintOf('tuesday'));
});

it('is shown in every form of a plan', () => {
  const plan = compile(of({ job: remote(task({ starts: 'at-least-once' }), { JobName: 'nightly' }) }));
  expect(renderPlan(plan)).toContain(`   job  Glue job nightly (glue:StartJobRun)
          in eu-west-1
          {"JobName":"nightly"}
          started at least once: the service cannot tell a start that is repeated after a lost answer
`);
  expect(renderPlan(compile(of({ job: remote(task(), {}) })))).not.toContain('at least once');
  expect(toMermaid(plan)).toContain('job["<b>job</b><br/>Glue job nightly (glue:StartJobRun)"]');
  expect(toSvg(plan)).toContain('Glue job nightly');
});

const circle: Record<string, unknown> = {};
circle['again'] = circle;
const notJson = 'which JSON does not have.';

test.each<[what: string, parameters: unknown, messages: readonly string[]]>([
  [
    'a secret',
    { Env: [{ Value: secret('KEY') }] },
    ['The parameter Env[0].Value is a secret, and parameters are kept in plans and shown by services.'],
  ],
  ['a bigint', { Rows: 1n }, [`The parameter Rows is a bigint, ${notJson}`]],
  ['a function', { When: () => 'now' }, [`The parameter When is a function, ${notJson}`]],
  ['an instance', { When: new Date(0) }, [`The parameter When is a Date, ${notJson}`]],
  [
    'a number that is none',
    { A: Number.NaN, B: -Infinity },
    [`The parameter A is NaN, ${notJson}`, `The parameter B is -Infinity, ${notJson}`],
  ],
  ['nothing in a list', { A: ['a', undefined] }, [`The parameter A[1] is undefined, ${notJson}`]],
  ['a circle', { A: circle }, ['The parameter A.again contains itself.']],
])('%s is no parameter', (_, parameters, messages) => {
  const problems = problemsOf(parameters);
  expect(problems.map(({ message }) => message)).toEqual(messages);
  for (const { step, remedy } of problems) expect({ step, remedy }).toEqual({ step: 'job', remedy: expect.stringMatching(/\.$/) });
});

test('one value may stand in two places', () => {
  const tags = { team: 'sales' };
  expect(problemsOf({ A: tags, B: [tags], C: run.date, D: { left: undefined } })).toEqual([]);
});
