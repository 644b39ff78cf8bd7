import { MillraceError } from '@millrace/core/runtime';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { redactor } from '../../secrets/redact.ts';
import { logger } from './logger.ts';
import { plain } from './plain.ts';

function logging() {
  const lines: string[] = [];
  const hidden = redactor();
  hidden.hide('p%40ss-word');
  hidden.hide('postgres://shop:geheim99@db/shop');
  const log = logger({ redactor: hidden, fields: { role: 'worker', worker: 'w1' }, sink: { write: (line) => lines.push(line) } });
  return { log, hidden, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> };
}

it('writes one JSON object a line, with what the worker is', () => {
  const { log, lines, last } = logging();
  log.info({ run: 'r1', stage: 'orders', epoch: 2, pipeline: 'nightly' }, 'stage started');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^\{.*\}\n$/);
  expect(last()).toMatchObject({
    level: 'info',
    role: 'worker',
    worker: 'w1',
    run: 'r1',
    stage: 'orders',
    epoch: 2,
    pipeline: 'nightly',
    msg: 'stage started',
  });
  expect(new Date(last()['time'] as string).getTime()).toBeGreaterThan(0);
  log.debug('not at this level');
  expect(lines).toHaveLength(1);
});

it('shows no secret: not in messages, nested fields, errors, their causes and facts, nor fields of a child', () => {
  const { log, hidden, lines, last } = logging();
  const child = log.child({ target: 'later-known-secret' });
  hidden.hide('later-known-secret');
  const cause = new Error('password p%40ss-word refused', {
    cause: { url: 'postgres://shop:geheim99@db/shop', deep: [{ pw: 'geheim99' }] },
  });
  const error = new MillraceError('CONNECTION_FAILED', { message: 'no: geheim99', remedy: 'r', facts: { tried: ['geheim99'] }, cause });
  child.error(
    { err: error, nested: { list: [{ url: 'postgres://shop:geheim99@db/shop' }] } },
    'could not reach postgres://shop:geheim99@db/shop',
  );
  log.error(new AggregateError([cause], 'all geheim99'));
  log.warn({ map: new Map([['k', 'geheim99']]) }, 'x %s', 'geheim99');
  expect(lines.join('')).not.toMatch(/geheim99|p%40ss|p@ss-word|later-known/);
  const first = JSON.parse(lines[0] ?? '') as { err: { code: string; cause: { cause: { deep: unknown } } } };
  expect(first.err.code).toBe('CONNECTION_FAILED');
  expect(first.err.cause.cause.deep).toEqual([{ pw: '***' }]);
  expect(last()['map']).toEqual({ k: '***' });
});

it('keeps its form where a secret is a number or a piece of JSON', () => {
  const { log, hidden, last } = logging();
  hidden.hide('123456');
  hidden.hide('","level":"');
  log.info({ count: 123456, text: '123456 rows' }, 'a","level":"b');
  expect(last()).toMatchObject({ level: 'info', count: 123456, text: '*** rows', msg: 'a***b' });
});

it('makes anything plain, of a bounded size, without ever throwing', () => {
  fc.assert(
    fc.property(
      fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, maxDepth: 4 }),
      (value) => {
        JSON.stringify(plain(value));
      },
    ),
  );
  const loop: Record<string, unknown> = { name: 'loop', text: 'x'.repeat(100_000), list: Array.from({ length: 10_000 }, (_, i) => i) };
  loop['self'] = loop;
  loop['throws'] = {
    get it() {
      throw new Error('no');
    },
  };
  const text = JSON.stringify(plain(loop));
  expect(text.length).toBeLessThan(20_000);
  expect(text).toContain('[circular]');
  expect(text).toContain('[unreadable: Error: no]');
});
