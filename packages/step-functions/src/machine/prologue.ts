import { type Plan, timeZoneOf } from '@millrace/core/runtime';
import type { Choice, Pass, Template, Test } from '../asl.ts';
import { longestName } from './names.ts';
import type { Site, States } from './site.ts';

/**
 * The first states: whatever an execution is given (`time`, `date`, `window`, `params`, each of which may be left out) becomes the state that all
 * others read, `{ run, time, date, window, params, failed, done, reopened }`. The run is named after the execution. One that goes on with the run of
 * another is given `run`, `reopened` (how often the run had been reopened) and `done` (which stages need no state any more), and its own name,
 * `execution`, by which an input that was copied from it is told.
 *
 *     input 1 ──▶ input 2 ──▶ input check ──▶ day ──▶ input 3 ──▶ input 4 ──▶ next
 *                                  └──▶ another run, day alone, no day
 */
export function writePrologue(states: States, site: Site, next: string): string {
  const { plan, flags } = site;
  const defaults = Object.fromEntries(Object.entries(plan.params).filter(([, value]) => value !== null));
  const pass = (wanted: string, Parameters: Template, onward: string): string => {
    const name = site.name(wanted);
    states[name] = { Type: 'Pass', Parameters, Next: onward } satisfies Pass;
    return name;
  };
  const state: Template = {
    'run.$': '$.all.run',
    'time.$': '$.all.time',
    'date.$': '$.all.date',
    'window.$': '$.all.window',
    'params.$': '$.params',
    'done.$': '$.all.done',
    'reopened.$': '$.all.reopened',
    ...(flags.size > 0 ? { failed: {} } : {}),
  };
  const last = pass('input 4', state, next);
  const params = { 'all.$': '$.all', 'params.$': 'States.JsonMerge($.params, $.all.params, false)' };
  const checked = writeCheck(states, site, writeDay(states, site, pass('input 3', params, last)));
  const all = { 'all.$': 'States.JsonMerge($, $.given, false)', 'name.$': '$$.Execution.Name', 'given.$': '$.given', params: defaults };
  return pass(
    'input 1',
    {
      'run.$': '$$.Execution.Name',
      execution: '',
      'time.$': '$$.Execution.StartTime',
      date: null,
      window: null,
      params: {},
      done: {},
      reopened: 0,
      'given.$': '$',
    },
    pass('input 2', all, checked),
  );
}

/** The state as JSON where all has failed that may, and all native work is done: the largest that it becomes with the parameters of the plan. */
export function largestState({ plan, flags, native }: Pick<Site, 'plan' | 'flags' | 'native'>): string {
  const all = (keys: Iterable<string>) => Object.fromEntries([...keys].map((key) => [key, true]));
  const time = '2026-03-29T00:00:00.000Z';
  const window = { start: time, end: time };
  const run = 'x'.repeat(longestName);
  return JSON.stringify({
    run,
    time,
    date: '2026-03-29',
    window,
    params: plan.params,
    done: all(native.values()),
    reopened: 99,
    failed: all(flags.values()),
  });
}

/**
 * Refuses an execution that would write into the record of another one's run or takes its work for done, one whose day says something else than its
 * time, and one of which nobody knows the day that its states ask for.
 */
function writeCheck(states: States, site: Site, next: string): string {
  const { plan, day } = site;
  const [name, another, alone] = [site.name('input check'), site.name('another run'), site.name('day alone')];
  const copied: Test = { Not: { Variable: '$.all.execution', StringEqualsPath: '$.name' } };
  const otherRun: Test = { Not: { Variable: '$.all.run', StringEqualsPath: '$.name' } };
  states[another] = {
    Type: 'Fail',
    Error: 'CONFIG_INVALID',
    Cause:
      'The input is of another execution\'s run ("run", "done" or "reopened"), as one is that was copied. Leave these and "execution" out; "millrace runs retry" goes on with a run that has failed.',
  };
  states[alone] = {
    Type: 'Fail',
    Error: 'CONFIG_INVALID',
    Cause: `The input has a day ("date") and no time, and what runs after this pipeline goes by the time. ${bothWays(plan)}`,
  };
  const choices: (Test & { readonly Next: string })[] = [
    { And: [copied, otherRun], Next: another },
    { And: [copied, isGiven('done')], Next: another },
    { And: [copied, isGiven('reopened')], Next: another },
    { And: [isGiven('date'), { Not: { Variable: '$.given.date', IsNull: true } }, { Not: isGiven('time') }], Next: alone },
  ];
  if (day.used && day.kind !== 'worker') {
    const missing = site.name('no day');
    const zone = timeZoneOf(plan.schedule);
    const because = day.kind === 'utc' ? 'The day of a time that does not end with Z' : `The day in ${zone}, by which this pipeline goes,`;
    states[missing] = {
      Type: 'Fail',
      Error: 'CONFIG_INVALID',
      Cause: `${because} cannot be found out by a state machine. ${bothWays(plan)}`,
    };
    const nobodyKnows: Test = day.kind === 'utc' ? { And: [{ Not: hasDay }, { Not: isText('time', '*Z') }] } : { Not: hasDay };
    choices.push({ ...nobodyKnows, Next: missing });
  }
  states[name] = { Type: 'Choice', Choices: choices, Default: next } satisfies Choice;
  return name;
}

const bothWays = ({ pipeline }: Plan): string =>
  `Start it with "millrace run ${pipeline} --date 2026-03-29", or give both in the input: {"time": "2026-03-29T04:00:00Z", "date": "2026-03-29"}.`;

const isGiven = (field: string): Test => ({ Variable: `$.given.${field}`, IsPresent: true });

const isText = (field: string, pattern: string): Test => ({
  And: [
    { Variable: `$.all.${field}`, IsString: true },
    { Variable: `$.all.${field}`, StringMatches: pattern },
  ],
});

const hasDay = isText('date', '*-*-*');

/** The day of a time in UTC, where it is not given. */
function writeDay(states: States, site: Site, next: string): string {
  if (!site.day.used || site.day.kind !== 'utc') return next;
  const [name, found, taken] = [site.name('day'), site.name('day of the time'), site.name('day is known')];
  states[name] = { Type: 'Choice', Choices: [{ ...hasDay, Next: next }], Default: found } satisfies Choice;
  states[found] = {
    Type: 'Pass',
    Parameters: { 'date.$': "States.ArrayGetItem(States.StringSplit($.all.time, 'T'), 0)" },
    ResultPath: '$.day',
    Next: taken,
  } satisfies Pass;
  states[taken] = { Type: 'Pass', InputPath: '$.day.date', ResultPath: '$.all.date', Next: next } satisfies Pass;
  return name;
}
