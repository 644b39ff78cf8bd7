import { readFileSync } from 'node:fs';
import { codes, MillraceError } from '@millrace/core/runtime';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { exitCodeOf, exitCodes } from './exit-code.ts';
import { coloured, toJson } from './terminal.ts';
import { failureBlock, failureJson } from './text/failure.ts';

test('the exit codes are those that scripts were promised', () => {
  expect(exitCodes).toEqual({
    ok: 0,
    runFailed: 1,
    usage: 2,
    planChanged: 3,
    partial: 4,
    dataQuality: 5,
    unavailable: 69,
    leaseHeld: 75,
    timeout: 124,
    interrupted: 130,
    terminated: 143,
  });
});

test('every error ends with a code of the table', () => {
  const known = new Set<number>(Object.values(exitCodes));
  for (const [code, entry] of Object.entries(codes)) expect([code, known.has(entry.exit)]).toEqual([code, true]);
  expect(exitCodeOf(new Error('unforeseen'))).toBe(exitCodes.runFailed);
  expect(exitCodeOf(new MillraceError('CHECK_FAILED', { message: '', remedy: '' }))).toBe(exitCodes.dataQuality);
});

test('an error is one block: what, what to do, its code and the manual', () => {
  const error = new MillraceError('SECRET_MISSING', {
    message: 'The secret "SHOP_URL" is nowhere.\nLooked in .env',
    remedy: 'Write it into .env.',
  });
  expect(failureBlock(error, pc.createColors(false))).toBe(
    [
      'error The secret "SHOP_URL" is nowhere.',
      '      Looked in .env',
      '   do Write it into .env.',
      ' code SECRET_MISSING · docs/errors.md#secret_missing',
    ].join('\n'),
  );
  expect(failureJson(error)).toMatchObject({ error: { code: 'SECRET_MISSING', manual: 'docs/errors.md#secret_missing' } });
});

test('where an error came from is shown to those who ask', () => {
  const error = new Error('outer', { cause: new Error('inner') });
  expect(failureBlock(error, pc.createColors(false))).not.toContain('inner');
  expect(failureBlock(error, pc.createColors(false), { debug: true })).toContain('caused by Error: inner');
});

test('the manual has an entry for each link', () => {
  const manual = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  expect(manual).toMatch(/^#+ SECRET_MISSING/m);
});

test.each([
  [{ isTTY: true }, {}, true],
  [{ isTTY: false }, {}, false],
  [{ isTTY: true }, { NO_COLOR: '1' }, false],
  [{ isTTY: true }, { NO_COLOR: '' }, true],
  [{ isTTY: true }, { CI: 'true' }, false],
  [{ isTTY: false }, { FORCE_COLOR: '1' }, true],
  [{ isTTY: true }, { FORCE_COLOR: '0' }, false],
  [{ isTTY: false }, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  [{ isTTY: true }, { TERM: 'dumb' }, false],
])('a stream %j with %j is coloured: %s', (stream, env, wanted) => {
  expect(coloured(stream, env)).toBe(wanted);
});

test('large numbers survive JSON', () => {
  expect(toJson({ id: 2n ** 63n })).toBe('{"id":"9223372036854775808"}');
});
