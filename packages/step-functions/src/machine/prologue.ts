import type { Pass, Template } from '../asl.ts';
import type { Site, States } from './site.ts';

/**
 * The first states: whatever an execution is given (`run`, `time`, `date`, `window`, `params`, each of which may be left out) becomes the state that
 * all others read, `{ run, time, date, window, params, failed, done, reopened }`. The run is named after the execution where nobody names it. `done` and
 * `reopened` are given to an execution that goes on with a run: which stages need no state any more, and how often the run had been reopened.
 */
export function writePrologue(states: States, site: Site, next: string): string {
  const { plan, flags } = site;
  const days = site.day.used ? site.day.kind : 'unused';
  const failed = flags.size === 0 ? {} : { failed: Object.fromEntries([...flags.values()].map((flag) => [flag, false])) };
  const defaults = Object.fromEntries(Object.entries(plan.params).filter(([, value]) => value !== null));
  const both: Template = { 'all.$': '$.all', 'given.$': '$.given', 'params.$': '$.params' };
  const passes: Template[] = [
    {
      'run.$': '$$.Execution.Name',
      'time.$': '$$.Execution.StartTime',
      date: null,
      window: null,
      params: {},
      done: {},
      reopened: 0,
      'given.$': '$',
    },
    { 'all.$': 'States.JsonMerge($, $.given, false)', 'given.$': '$.given', params: defaults },
    ...(days === 'unused'
      ? []
      : [
          { ...both, day: { 'date.$': "States.ArrayGetItem(States.StringSplit($.all.time, 'T'), 0)" } },
          { ...both, 'all.$': 'States.JsonMerge($.all, $.day, false)' },
          { ...both, 'all.$': 'States.JsonMerge($.all, $.given, false)' },
        ]),
    { 'all.$': '$.all', 'params.$': 'States.JsonMerge($.params, $.all.params, false)' },
    {
      'run.$': '$.all.run',
      'time.$': '$.all.time',
      'date.$': '$.all.date',
      'window.$': '$.all.window',
      'params.$': '$.params',
      'done.$': '$.all.done',
      'reopened.$': '$.all.reopened',
      ...failed,
    },
  ];
  let onward = next;
  for (const [at, Parameters] of [...passes.entries()].reverse()) {
    const name = site.name(`input ${at + 1}`);
    states[name] = { Type: 'Pass', Parameters, Next: onward } satisfies Pass;
    onward = name;
  }
  if (plan.schedule.kind === 'success') onward = writeUpstream(states, site, onward);
  return days === 'local' ? writeDayCheck(states, site, onward) : onward;
}

/** Days of another time zone do not follow from the moment at which somebody starts an execution. */
function writeDayCheck(states: States, site: Site, next: string): string {
  const [name, missing] = [site.name('day'), site.name('no day')];
  const here = ['date', 'time', 'of'].map((field) => ({ Variable: `$.${field}`, IsPresent: true }));
  states[name] = { Type: 'Choice', Choices: [{ Or: here, Next: next }], Default: missing };
  states[missing] = {
    Type: 'Fail',
    Error: 'CONFIG_INVALID',
    Cause: 'The days of this pipeline are not those of UTC: start it with the day that it is for, {"date": "2026-03-29"}.',
  };
  return name;
}

/** An execution that another one's success has started is for the same time: `{ of: "<the input of that one, as text>" }`. */
function writeUpstream(states: States, site: Site, next: string): string {
  const [asked, read, merged, taken] = ['after another', 'of another 1', 'of another 2', 'of another 3'].map(site.name) as [
    string,
    string,
    string,
    string,
  ];
  states[asked] = { Type: 'Choice', Choices: [{ Variable: '$.of', IsPresent: true, Next: read }], Default: next };
  states[read] = {
    Type: 'Pass',
    Parameters: { own: { 'time.$': '$$.Execution.StartTime', window: null }, 'of.$': 'States.StringToJson($.of)' },
    Next: merged,
  };
  states[merged] = { Type: 'Pass', Parameters: { 'all.$': 'States.JsonMerge($.own, $.of, false)' }, Next: taken };
  states[taken] = { Type: 'Pass', Parameters: { 'time.$': '$.all.time', 'window.$': '$.all.window' }, Next: next };
  return asked;
}
