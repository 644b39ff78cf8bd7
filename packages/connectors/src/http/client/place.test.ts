import { expect, test } from 'vitest';
import { httpPlace, isInside, leads, shownUrl, under } from './place.ts';
import { askedWait } from './wait.ts';

const place = httpPlace('https://api.example.com/v2', 'https://api.example.com/v2', ['files.example.com', 'other.example.com:8443']);

test.each([
  ['orders', 'https://api.example.com/v2/orders'],
  ['/orders?x=1', 'https://api.example.com/v2/orders?x=1'],
  ['a:b', null],
  ['../v1/orders', null],
  ['%2e%2e/v1', null],
  ['https://elsewhere.example.com/', null],
  ['//elsewhere.example.com/', 'https://api.example.com/v2/elsewhere.example.com/'],
  ['\\\\elsewhere.example.com\\x', null],
])('the path %s leads to %s', (path, expected) => {
  if (expected === null) expect(() => under(place, path)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  else expect(under(place, path).href).toBe(expected);
});

test.each([
  ['https://api.example.com/elsewhere', 'itself'],
  ['https://api.example.com:443/x', 'itself'],
  ['https://files.example.com/x', 'a listed host'],
  ['https://other.example.com:8443/x', 'a listed host'],
  ['https://other.example.com/x', null],
  ['http://api.example.com/v2/', null],
  ['http://files.example.com/x', null],
  ['https://api.example.com:8443/', null],
  ['https://api.example.com@evil.example.com/', null],
  ['https://files.example.com.evil.example.com/', null],
  ['file:///etc/passwd', null],
])('a link to %s leads to %s', (url, expected) => {
  if (expected === null) expect(() => leads(place, new URL(url), 'a link')).toThrow(expect.objectContaining({ code: 'REMOTE_REFUSED' }));
  else expect(leads(place, new URL(url), 'a link')).toEqual({ to: expected });
});

test('a URL is shown without its query', () => {
  expect(shownUrl(place, new URL('https://api.example.com/v2/orders?key=secret'))).toBe('https://api.example.com/v2/orders');
  expect(shownUrl(place, new URL('https://files.example.com/signed/secret?x=secret'))).toBe('https://files.example.com/…');
});

test.each([
  '127.0.0.1',
  '10.1.2.3',
  '169.254.169.254',
  '192.168.1.1',
  '100.100.1.1',
  '0.0.0.0',
  '::1',
  'fd00:ec2::254',
  'fe80::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::7f00:1',
  '64:ff9b::',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b::10.0.0.1',
  '2002:7f00:1::',
])('%s is inside', (address) => expect(isInside(address)).toBe(true));
test.each(['93.184.216.34', '2606:4700::1111', '::ffff:93.184.216.34', '64:ff9b::5db8:d822', 'example.com'])(
  '%s is not inside',
  (address) => expect(isInside(address)).toBe(false),
);

const now = new Date('2026-03-29T00:00:00Z');
test.each([
  [{ 'retry-after': '7' }, 7_000],
  [{ 'retry-after': '0.5' }, 500],
  [{ 'retry-after': 'Sun, 29 Mar 2026 00:00:10 GMT' }, 10_000],
  // Held against the server's clock, which is an hour behind ours.
  [{ 'retry-after': 'Sat, 28 Mar 2026 23:00:10 GMT', date: 'Sat, 28 Mar 2026 23:00:00 GMT' }, 10_000],
  [{ 'retry-after': 'Sat, 28 Mar 2026 00:00:00 GMT' }, 0],
  [{ 'retry-after': 'soon' }, null],
  [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now.getTime() / 1000 + 9) }, 9_000],
  [{ 'ratelimit-remaining': '0', 'ratelimit-reset': '3' }, 3_000],
  [{ 'ratelimit-remaining': '5', 'ratelimit-reset': '3' }, null],
  [{}, null],
])('%j asks to wait %s ms', (headers, expected) => expect(askedWait(headers, now)).toBe(expected));
