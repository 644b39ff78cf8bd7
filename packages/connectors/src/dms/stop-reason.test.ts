import { expect, test } from 'vitest';
import { stopMeaning, stops } from './stop-reason.ts';

test.each([
  ['NORMAL', 'normal'],
  ['FULL_LOAD_ONLY_FINISHED', 'done'],
  ['STOPPED_AFTER_FULL_LOAD', 'done'],
  ['STOPPED_AFTER_CACHED_EVENTS', 'done'],
  ['STOPPED_AFTER_DDL_APPLY', 'done'],
  ['STOPPED_AT_SERVER_TIME', 'done'],
  ['STOPPED_AT_COMMIT_TIME', 'done'],
  ['RECONFIGURATION_RESTART', 'passing'],
  ['RECYCLE_TASK', 'passing'],
  ['RECOVERABLE_ERROR', 'broken again'],
  ['STOPPED_DUE_TO_LOW_MEMORY', 'broken again'],
  ['FATAL_ERROR', 'broken'],
  ['STOPPED_DUE_TO_LOW_DISK', 'broken'],
  ['EXPRESS_LICENSE_LIMITS_REACHED', 'broken'],
  ['SOMETHING_NEW', 'broken'],
])('Stop Reason %s is %s', (word, kind) => {
  for (const reason of [`Stop Reason ${word}`, word]) {
    const meaning = stopMeaning(reason);
    expect(meaning.kind === 'broken' && meaning.again ? 'broken again' : meaning.kind).toBe(kind);
  }
});

test('whoever goes by words alone is told those that may be the end, and those after which DMS goes on', () => {
  const kinds = (words: readonly string[]) => new Set(words.map((word) => stopMeaning(word).kind));
  expect(stops.good).toContain('NORMAL');
  expect(stops.good).toHaveLength(7);
  expect(kinds(stops.good)).toEqual(new Set(['normal', 'done']));
  expect(stops.passing).toHaveLength(2);
  expect(kinds(stops.passing)).toEqual(new Set(['passing']));
});
