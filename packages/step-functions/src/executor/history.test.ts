import type { HistoryEvent } from '@aws-sdk/client-sfn';
import { expect, test } from 'vitest';
import { remotes, retry } from '../../test/everything.ts';
import { planOf, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';
import { type Happening, History } from './history.ts';

const plan = planOf(
  [
    { id: 'glue', retry },
    { id: 'a', needs: ['glue'] },
  ],
  { steps: remotes },
);
const { main } = compileStateMachines(plan, settings);

type Said = Partial<HistoryEvent> & { readonly type: HistoryEvent['type'] };
/** Events that follow one another, as AWS numbers them. */
const numbered = (said: readonly Said[], first = 1): HistoryEvent[] =>
  said.map((one, at) => ({ timestamp: new Date(0), id: first + at, previousEventId: first + at - 1, ...one }));
const entered = (name: string, type: Said['type'] = 'TaskStateEntered'): Said => ({ type, stateEnteredEventDetails: { name } });
const exited = (name: string, output: object = {}): Said => ({
  type: 'TaskStateExited',
  stateExitedEventDetails: { name, output: JSON.stringify(output) },
});
const scheduled: Said = { type: 'TaskScheduled' };
const failed = (error: string, cause = 'why'): Said => ({
  type: 'TaskFailed',
  taskFailedEventDetails: { resourceType: 'glue', resource: 'x', error, cause },
});
const short = (happenings: readonly Happening[]) =>
  happenings.map(
    (one) => `${one.type} ${one.stage} ${one.attempt}${one.type === 'failed' ? ` ${one.failure.name}${one.passes ? ', passes' : ''}` : ''}`,
  );

test('each attempt at native work is told, and its end once the state is left', () => {
  const events = numbered([
    entered('glue'),
    scheduled,
    failed('Glue.ThrottlingException'),
    scheduled,
    { type: 'TaskSucceeded' },
    exited('glue', { job: { Id: 'jr_1', JobRunState: 'SUCCEEDED' } }),
    entered('a'),
    scheduled,
  ]);
  expect(short(new History(main).read(events))).toEqual([
    'began glue 1',
    'failed glue 1 Glue.ThrottlingException, passes',
    'began glue 2',
    'succeeded glue 2',
  ]);
});

test('what has come of work is what its service has answered, not what the state holds of other work', () => {
  const steps = planOf([{ id: 'glue' }, { id: 'sns', needs: ['glue'] }], { steps: remotes });
  const events = (state: string, answer: object): Said[] => [
    entered(state),
    scheduled,
    { type: 'TaskSucceeded', taskSucceededEventDetails: { resourceType: 'x', resource: 'y', output: JSON.stringify(answer) } },
    exited(state, { run: 'r', job: { JobRunState: 'SUCCEEDED' } }),
  ];
  const told = new History(compileStateMachines(steps, settings).main).read(
    numbered([...events('glue', { Id: 'jr_1', JobRunState: 'SUCCEEDED' }), ...events('sns', { MessageId: 'm-1' })]),
  );
  expect(told.flatMap((one) => (one.type === 'succeeded' ? [one.output] : []))).toEqual([
    { Id: 'jr_1', JobRunState: 'SUCCEEDED' },
    { MessageId: 'm-1' },
  ]);
});

test('it may be read in pieces, cut anywhere', () => {
  const events = numbered([entered('glue'), scheduled, failed('States.Timeout'), scheduled, { type: 'TaskSucceeded' }, exited('glue')]);
  const whole = short(new History(main).read(events));
  for (let cut = 0; cut <= events.length; cut++) {
    const history = new History(main);
    const first = history.read(events.slice(0, cut));
    expect(short([...first, ...history.read(events.filter(({ id = 0 }) => id > history.last))])).toEqual(whole);
  }
});

test('a failure that the machine has caught is no success, and neither is a job that was stopped', () => {
  const caught = numbered([entered('glue'), scheduled, failed('States.TaskFailed'), exited('glue')]);
  expect(short(new History(main).read(caught))).toEqual(['began glue 1', 'failed glue 1 States.TaskFailed']);
  const stopped = numbered([entered('glue'), scheduled, { type: 'TaskSucceeded' }, exited('glue', { job: { JobRunState: 'STOPPED' } })]);
  expect(short(new History(main).read(stopped))).toEqual(['began glue 1', 'failed glue 1 States.TaskFailed']);
});

test('where it came to grief: the last failure, with its stage; a state that fails hides none', () => {
  const history = new History(main);
  const trouble = { stage: 'glue', failure: { name: 'States.TaskFailed', cause: 'no capacity' } };
  const ends = [entered('glue failed', 'FailStateEntered'), entered('partial', 'FailStateEntered')];
  history.read(numbered([entered('glue'), scheduled, failed('States.TaskFailed', 'no capacity'), ...ends]));
  expect(history.trouble).toEqual(trouble);
  const silent = new History(main);
  silent.read(numbered([entered('glue'), scheduled, { type: 'TaskSucceeded' }, ...ends]));
  expect(silent.trouble).toEqual({ stage: 'glue', failure: null });
});

test('what was before a redrive is not told again; attempts are counted anew', () => {
  const before: Said[] = [entered('glue'), scheduled, failed('States.TaskFailed'), { type: 'ExecutionFailed' }];
  const history = new History(main);
  const told = history.read(
    numbered([...before, { type: 'ExecutionRedriven' }, { ...scheduled, previousEventId: 3 }, { type: 'TaskSucceeded' }, exited('glue')]),
  );
  expect(short(told)).toEqual(['began glue 1', 'succeeded glue 1']);
  expect(history.trouble).toBe(null);
});

test('executions of parts are found by what starting them has answered; after a redrive those that had succeeded, and the new ones', () => {
  const history = new History(main);
  const part = (number: number, name: string): string =>
    `arn:aws:states:eu-west-1:123456789012:execution:millrace-nightly-part-${number}:${name}`;
  const submitted = (arn: string): Said => ({
    type: 'TaskSubmitted',
    taskSubmittedEventDetails: { resourceType: 'states', resource: 'startExecution.sync:2', output: JSON.stringify({ ExecutionArn: arn }) },
  });
  const [one, two, again] = [part(1, 'x'), part(2, 'y'), part(2, 'z')];
  const before = numbered([
    entered('part 1'),
    scheduled,
    submitted(one),
    { type: 'TaskSucceeded' },
    exited('part 1'),
    entered('part 2'),
    scheduled,
    submitted(two),
    failed('States.TaskFailed'),
    { type: 'ExecutionFailed' },
  ]);
  history.read(before);
  expect([...history.parts]).toEqual([one, two]);
  const redriven: Said[] = [{ type: 'ExecutionRedriven' }, { ...scheduled, previousEventId: 9 }, submitted(again)];
  history.read(numbered(redriven, 11));
  expect([...history.parts]).toEqual([one, again]);
});
