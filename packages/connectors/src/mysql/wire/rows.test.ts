import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packetsOf } from './packets.ts';
import { type RowScanner, rowScanner } from './rows.ts';

type Value = string | null;

function lengthEncoded(value: Value): Buffer {
  if (value === null) return Buffer.from([0xfb]);
  const bytes = Buffer.from(value, 'latin1');
  const size = bytes.length;
  if (size < 251) return Buffer.concat([Buffer.from([size]), bytes]);
  const head = Buffer.alloc(size < 65_536 ? 3 : size < 16_777_216 ? 4 : 9);
  head[0] = size < 65_536 ? 0xfc : size < 16_777_216 ? 0xfd : 0xfe;
  head.writeUIntLE(size, 1, Math.min(6, head.length - 1));
  return Buffer.concat([head, bytes]);
}

const end = Buffer.from([0xfe, 0, 0, 2, 0]);
const refusal = Buffer.concat([Buffer.from([0xff, 0x15, 0x04]), Buffer.from('#28000Gone away')]);

/** A result as the server sends it, and what is read of it. */
const sent = (rows: readonly (readonly Value[])[], last: Buffer = end): Buffer =>
  Buffer.concat([...rows.map((row) => Buffer.concat(row.map(lengthEncoded))), last].flatMap((payload, at) => packetsOf(payload, at + 1)));

function read(scanner: RowScanner, bytes: Buffer, cuts: readonly number[], columns: number): Value[][] {
  const found: Value[][] = [];
  const keep = ({ data, starts, lengths, rows }: ReturnType<RowScanner['add']>[number]): void => {
    for (let row = 0; row < rows; row++)
      found.push(
        Array.from({ length: columns }, (_, column) => {
          const at = row * columns + column;
          return lengths[at]! < 0 ? null : data.toString('latin1', starts[at]!, starts[at]! + lengths[at]!);
        }),
      );
  };
  let from = 0;
  for (const to of [...cuts, bytes.length].sort((a, b) => a - b)) {
    for (const batch of scanner.add(Buffer.from(bytes.subarray(from, to)))) keep(batch);
    from = to;
  }
  if (scanner.end && 'outcome' in scanner.end && scanner.end.rows) keep(scanner.end.rows);
  return found;
}

const value = fc.option(
  fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.integer({ min: 240, max: 70_000 }).map((n) => 'x'.repeat(n)),
  ),
  { nil: null },
);
const ascii = (rows: (string | null)[][]): Value[][] => rows.map((row) => row.map((one) => one?.replace(/[^\x20-\x7e]/g, '?') ?? null));

test('however the bytes are cut, every row is there once, in batches within the limits', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value, value), { maxLength: 40 }), fc.array(fc.nat(200_000), { maxLength: 12 }), (given, cuts) => {
      const rows = ascii(given);
      const bytes = sent(rows);
      const scanner = rowScanner(3, { rows: 7, bytes: 50_000 });
      expect(
        read(
          scanner,
          bytes,
          cuts.map((cut) => Math.min(cut, bytes.length)),
          3,
        ),
      ).toEqual(rows);
      expect(scanner.rows).toBe(rows.length);
      expect(scanner.end).toMatchObject({ outcome: { warnings: 0 } });
    }),
  );
});

test('rows of several packets come in one piece, whether their last packet is empty or not', () => {
  // A payload of 2^24 - 1 bytes is followed by another packet, which is empty where nothing is left.
  const exact = 'a'.repeat(0xff_ff_ff - 4 - 2);
  const rows: Value[][] = [
    ['small', '1'],
    [exact, 'z'],
    ['b'.repeat(34_000_000), null],
    ['after', '2'],
  ];
  const bytes = sent(rows);
  const cuts = [3, 100, 16_777_220, 16_777_225, 33_000_000, 50_331_660];
  const found = read(rowScanner(2), bytes, cuts, 2);
  expect(found.map((row) => row.map((one) => one?.length ?? null))).toEqual(rows.map((row) => row.map((one) => one?.length ?? null)));
  expect(found[2]?.[0] === rows[2]?.[0] && found[3]?.[0] === 'after').toBe(true);
});

test('a server that gives up in the middle of a result is heard', () => {
  const scanner = rowScanner(1);
  read(scanner, sent([['1'], ['2']], refusal), [], 1);
  expect(scanner.end).toMatchObject({ refusal: { errno: 1045, sqlState: '28000', message: 'Gone away' } });
});

test.each([
  ['too few values', [Buffer.from([1, 49])], /too few values/],
  ['too many values', [Buffer.from([1, 49, 1, 49, 1, 49])], /do not fill it/],
  ['a value that goes beyond its packet', [Buffer.from([1, 49, 200, 49])], /do not fill it/],
])('a row with %s is refused', (_, payloads, message) => {
  const scanner = rowScanner(2);
  expect(() => scanner.add(Buffer.concat(payloads.flatMap((payload) => packetsOf(payload, 1))))).toThrow(message);
});
