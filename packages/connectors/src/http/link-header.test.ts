import { expect, test } from 'vitest';
import { linkTo } from './link-header.ts';

test.each<[string | undefined, string | null]>([
  [undefined, null],
  ['', null],
  ['</b>; rel="next"', '/b'],
  ['</b>;rel=next', '/b'],
  ['</a>; rel="prev", </b>; rel="next"', '/b'],
  ['</a?x=1,2>; rel="first", </b?x=1,2>; rel = next ; title=x', '/b?x=1,2'],
  ['</a>; title="a, <\\"b\\">; rel=next"; rel=prev, </b>; REL="last NEXT"', '/b'],
  ['</a>; rel=prev; rel=next', null],
  ['</a>, </b>; rel*=x; rel="next', '/b'],
  ['</a>; rel="nextish"', null],
  ['rel="next"', null],
  ['</a; rel="next"', null],
])('%s leads to %s', (header, target) => expect(linkTo(header, 'next')).toBe(target));

test.each([
  ['parameters with stars', `</a>${';a*'.repeat(4_000)}"`],
  ['blanks that belong to nobody', `</a>${';a=   '.repeat(2_000)}"`],
  ['links that do not end', '<'.repeat(16_000)],
])('%s do not keep it busy', (_, header) => expect(linkTo(header, 'next')).toBe(null));
