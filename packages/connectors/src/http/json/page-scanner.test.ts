import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PageScanner } from './page-scanner.ts';

const scan = (chunks: readonly Buffer[], records: readonly string[], values: Readonly<Record<string, readonly string[]>> = {}) => {
  const found: string[] = [];
  const scanner = new PageScanner({ records, values }, (bytes) => found.push(bytes.toString()));
  for (const chunk of chunks) scanner.push(chunk);
  return { found, ...scanner.end() };
};

const pieces = (text: string, cuts: readonly number[]): Buffer[] => {
  const bytes = Buffer.from(text);
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((to, index) => Buffer.from(bytes.subarray(at[index], to)));
};

test('records come out as they are, however the page is cut and whatever stands around them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue(), { maxLength: 6 }),
      fc.jsonValue(),
      fc.array(fc.nat(), { maxLength: 8 }),
      fc.constantFrom(0, 1, 4),
      (records, other, cuts, indent) => {
        const page = { before: other, 'the data': { items: records, more: [other] }, next: 'a"]}' };
        const { found, values, list } = scan(pieces(JSON.stringify(page, null, indent), cuts), ['the data', 'items'], { next: ['next'] });
        expect(found.map((text) => JSON.parse(text))).toEqual(JSON.parse(JSON.stringify(records)));
        expect(list).toBe('list');
        expect(values.get('next')).toBe('a"]}');
      },
    ),
  );
});

test('a page that ends anywhere before its end is not whole', () => {
  const page = '{"meta":{"next":"a\\"b","n":1.5e3},"items":[{"a":[1,"]"]},"x",-1.5,null],"after":[{}]} ';
  for (let end = 0; end < page.length - 1; end++)
    expect(() => scan([Buffer.from(page.slice(0, end))], ['items']), page.slice(0, end)).toThrow(
      expect.objectContaining({ code: 'WIRE_CORRUPT' }),
    );
  expect(scan([Buffer.from(page)], ['items'], { next: ['meta', 'next'], n: ['meta', 'n'] })).toMatchObject({
    records: 4,
    values: new Map<string, unknown>([
      ['next', 'a"b'],
      ['n', '1.5e3'],
    ]),
  });
});

test.each([
  '[1 2]',
  '[1,]',
  '[,1]',
  '{"a" 1}',
  '{"a":1,}',
  '{a:1}',
  '[1]]',
  '[tru]',
  '[01]',
  '[1.]',
  '{"a":}',
  'nul',
  '<html>',
  '{"a":"\\x"}',
])('%s is no page', (text) => {
  const read = () => scan([Buffer.from(text)], text.startsWith('[') ? [] : ['a']);
  expect(read).toThrow(expect.objectContaining({ code: expect.stringMatching(/WIRE_CORRUPT|REMOTE_REFUSED/) }));
});

test('a byte order mark is passed over', () => {
  expect(scan([Buffer.from([0xef]), Buffer.from([0xbb, 0xbf]), Buffer.from('[1,2]')], [])).toMatchObject({ found: ['1', '2'] });
});

test('a record in many chunks is put together in time that grows with its length', () => {
  const record = JSON.stringify('x'.repeat(8 * 1024 * 1024));
  const bytes = Buffer.from(`[${record}]`);
  const chunks = Array.from({ length: Math.ceil(bytes.length / 4096) }, (_, at) => bytes.subarray(at * 4096, at * 4096 + 4096));
  expect(scan(chunks, []).found[0]?.length).toBe(record.length);
});
