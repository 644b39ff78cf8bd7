import type { Definition, State, Task, Test } from '../asl.ts';
import { integration, type Site } from '../machine/site.ts';
import { dmsErrors, dmsNotNow } from './call-errors.ts';
import { type DmsKind, dmsKinds, type Told, toldAt } from './dms-kinds.ts';

/*
 * A replication, started as its state asks for and watched until it has ended well, or not.
 *
 *   request ─▶ before ─▶ tags ─▶ stands? ──▶ mark ─▶ how ─▶ first start, resume or reload ─▶ wait ⇄ look ─▶ done, failed
 *                                  │                            │ DMS does not take it         ▲
 *                                  └── it runs, started for ────┼──────────────────────────────┘
 *                                      this stage before        └─▶ refused ── it runs by now ─┘
 *
 * DMS has no tokens, but a replication runs once at a time, and its tags tell for which stage of which execution it was started last. What is true where
 * this machine ends between two of these states, and is started again because that execution is redriven:
 *
 *   before mark      nothing was started
 *   before a start   the mark is there and the replication stands: it is started
 *   after it         the mark is there and it runs: it is watched. Where it has ended since, it is started again, for nobody knows any more
 *                    whether that end was seen; tables are loaded anew then, and a stream goes on where it stopped
 *
 * A second execution of the run is another one: it may be there to load anew what has changed since the first.
 *
 * Of two that start it at once the second one is refused, and watches what the first has started: that was after its own look, so
 * nothing that it should have loaded is missing.
 */

/** Reasons for which DMS stops at the end that it was given, and those after which it starts again by itself; without "Stop Reason". */
export interface Stops {
  readonly good: readonly string[];
  readonly passing: readonly string[];
}

/** Seconds of the longest pause between two looks: with it, a history holds nine days of them. */
export const longestPause = 300;
const longestReplication = 8 * 24 * 60 * 60;
/** When pauses have grown so long, two minutes and more have passed since the start: what DMS tells is not of before any more. */
const settledPause = 80;

const patient = [
  { ErrorEquals: dmsErrors, IntervalSeconds: 5, MaxAttempts: 10, BackoffRate: 2, MaxDelaySeconds: 120, JitterStrategy: 'FULL' as const },
];

/** The tag that says for whom it was started last; the connector has the same, with values of its own. */
const requestTag = 'millrace-request';

export function dmsMachine(of: DmsKind, stops: Stops, site: Site): Definition {
  const kind = dmsKinds[of];
  const then = toldAt('$.before', of);
  const now = toldAt('$.seen', of);
  const call = (name: string, more: Call, Next: string): State => ({
    Type: 'Task',
    Resource: integration(site, `aws-sdk:databasemigration:${name}`),
    ...more,
    Retry: patient,
    Next,
  });
  const look = (into: string, next: string): State =>
    call(
      kind.describe,
      {
        Parameters: { Filters: [{ Name: kind.filter, 'Values.$': 'States.Array($.arn)' }], ...kind.more },
        ResultSelector: { 'all.$': `$.${kind.list}` },
        ResultPath: into,
      },
      next,
    );
  const start = (from: string): State =>
    call(
      kind.start,
      { InputPath: from, ResultPath: null, Catch: [{ ErrorEquals: dmsNotNow, ResultPath: '$.refusal', Next: 'refused' }] },
      'wait',
    );
  const wait = (Next: string): State => ({ Type: 'Wait', SecondsPath: '$.wait.seconds', Next });

  const stands = (at: Told): Test => ({ Or: [missing(at.it), ...standing.map((status) => is(at.Status, status))] });
  const full = (at: Told): Test => number(at.FullLoadProgressPercent, 100);
  const loaded: Test = { Or: [is(now.type, 'cdc'), { And: [full(now), number(now.TablesLoading, 0), number(now.TablesQueued, 0)] }] };
  const stopped = is(now.Status, 'stopped');
  const because = (reasons: readonly string[]): Test[] => reasons.map((reason) => ends(now.StopReason, reason));
  /** DMS tells of the time before the start for a while. What ran then already may look the same for hours. */
  const asBefore: Test = {
    And: [stands(then), ...(['Status', 'StopReason', 'StartDate', 'StopDate'] as const).map((field) => same(now[field], then[field]))],
  };

  return {
    Comment: `One replication of DMS ${of === 'task' ? 'on an instance' : 'without servers'}, watched to its end.`,
    StartAt: 'request',
    TimeoutSeconds: longestReplication,
    States: {
      request: {
        Type: 'Pass',
        Parameters: { 'id.$': "States.Hash(States.Format('{}/{}', $.execution, $.stage), 'SHA-256')" },
        ResultPath: '$.request',
        Next: 'before',
      },
      before: look('$.before', 'tags'),
      tags: call(
        'listTagsForResource',
        {
          Parameters: { 'ResourceArn.$': '$.arn' },
          // A path to the values of no tags at all would lead nowhere.
          ResultSelector: { 'words.$': "States.StringSplit(States.JsonToString($), '\"')" },
          ResultPath: '$.tags',
        },
        'whose',
      ),
      whose: {
        Type: 'Pass',
        Parameters: { 'ours.$': 'States.ArrayContains($.tags.words, $.request.id)' },
        ResultPath: '$.tags',
        Next: 'stands',
      },
      stands: {
        Type: 'Choice',
        Choices: [
          { ...stands(then), Next: 'mark' },
          { Variable: '$.tags.ours', BooleanEquals: true, Next: 'wait' },
        ],
        Default: 'not to be started',
      },
      mark: call(
        'addTagsToResource',
        { Parameters: { 'ResourceArn.$': '$.arn', Tags: [{ Key: requestTag, 'Value.$': '$.request.id' }] }, ResultPath: null },
        'how',
      ),
      how: {
        Type: 'Choice',
        Choices: [
          { Or: [missing(then.it), is(then.Status, 'ready'), is(then.Status, 'created')], Next: 'first start' },
          { And: [is(then.Status, 'failed'), missing(then.StartDate)], Next: 'first start' },
          { ...is(then.type, 'cdc'), Next: 'resume' },
          { Or: [{ Variable: '$.reload', BooleanEquals: true }, is(then.type, 'full-load'), { Not: full(then) }], Next: 'reload' },
        ],
        Default: 'resume',
      },
      'first start': start('$.first'),
      resume: start('$.resume'),
      reload: start('$.again'),
      refused: wait('look again'),
      'look again': look('$.seen', 'runs'),
      runs: {
        Type: 'Choice',
        Choices: [
          { ...asBefore, Next: 'not to be started' },
          { Or: [{ Not: stands(now) }, { Not: same(now.StartDate, then.StartDate) }], Next: 'wait' },
        ],
        Default: 'not to be started',
      },
      wait: wait('look'),
      look: look('$.seen', 'ended'),
      ended: {
        Type: 'Choice',
        Choices: [
          { And: [asBefore, { Not: { Variable: '$.wait.seconds', NumericGreaterThanEquals: settledPause } }], Next: 'longer' },
          { ...asBefore, Next: 'failed' },
          { And: [stopped, { Or: because(stops.passing) }], Next: 'wait' },
          { And: [stopped, loaded, { Or: [missing(now.StopReason), ...because(stops.good)] }], Next: 'tables' },
          { Or: [stands(now), is(now.Status, 'deleting')], Next: 'failed' },
          { And: [is('$.until', 'loaded'), is(now.Status, 'running'), loaded], Next: 'tables' },
          { Variable: '$.wait.seconds', NumericGreaterThanEquals: longestPause, Next: 'wait' },
        ],
        Default: 'longer',
      },
      longer: {
        Type: 'Pass',
        Parameters: { 'seconds.$': 'States.MathAdd($.wait.seconds, $.wait.seconds)' },
        ResultPath: '$.wait',
        Next: 'wait',
      },
      tables: {
        Type: 'Choice',
        Choices: [{ And: [present(now.TablesErrored), { Variable: now.TablesErrored, NumericGreaterThanEquals: 1 }], Next: 'failed' }],
        Default: 'done',
      },
      done: { Type: 'Succeed' },
      failed: {
        Type: 'Fail',
        Error: 'REMOTE_FAILED',
        Cause: 'DMS ended the replication before its end, or with tables in error. "seen" in the input of this state says why.',
      },
      'not to be started': {
        Type: 'Fail',
        Error: 'REMOTE_UNAVAILABLE',
        Cause:
          'The replication runs for somebody else, or DMS does not start it as it is. "before" in the input of this state says what it is, "refusal" what DMS said. Stop it, if it should not be running.',
      },
    },
  };
}

type Call = Pick<Task, 'InputPath' | 'Parameters' | 'ResultSelector' | 'ResultPath' | 'Catch'>;

/** In these it can be started. */
const standing = ['ready', 'created', 'stopped', 'failed'];

const present = (variable: string): Test => ({ Variable: variable, IsPresent: true });
const missing = (variable: string): Test => ({ Not: present(variable) });
const is = (variable: string, text: string): Test => ({ And: [present(variable), { Variable: variable, StringEquals: text }] });
const number = (variable: string, value: number): Test => ({ And: [present(variable), { Variable: variable, NumericEquals: value }] });
/** Both of them texts, or neither there. */
const same = (one: string, other: string): Test => ({
  Or: [{ And: [missing(one), missing(other)] }, { And: [present(one), present(other), { Variable: one, StringEqualsPath: other }] }],
});
const ends = (variable: string, reason: string): Test => ({
  And: [present(variable), { Variable: variable, StringMatches: `*${reason}` }],
});
