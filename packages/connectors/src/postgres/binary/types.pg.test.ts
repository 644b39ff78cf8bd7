import { type ColumnType, rowsOf, textCodec, typeName, valuesVector } from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { testContext } from '../../../test/load.ts';
import { openSession, type Session } from '../client.ts';
import { textOf } from '../expression.ts';
import { literal } from '../literal.ts';
import { sqlType } from '../sink/sql-type.ts';
import { binaryBatches } from './batches.ts';
import { binaryEncoder } from './encode.ts';
import { formOf } from './form.ts';

/** Postgres itself says what a value's text is; binary decoding must give the value of that text, and binary encoding that text again. */
let db: TestDatabase;
let session: Session;
beforeAll(async () => {
  db = await testDatabase();
  session = await openSession({ url: db.url }, testContext());
  await session.execute(
    `create type mood as enum ('sad', 'o''k', 'zażółć 🙂'); create domain price as numeric(12, 2); create domain tag as text check (value <> 'no')`,
  );
});
afterAll(async () => {
  await session?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

const moods = ['sad', "o'k", 'zażółć 🙂'];
const digit = (most: number, least = 0) => fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: least, maxLength: most });
const whole = (bits: number) => fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n }).map(String);
const numerics = fc
  .tuple(fc.constantFrom('', '-'), digit(40), fc.option(digit(30, 1)))
  .map(([sign, before, after]) => `${sign}${before || '0'}${after === null ? '' : `.${after}`}`);
const stamps = fc
  .tuple(
    fc.integer({ min: -4712, max: 294_275 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 28 }),
    fc.integer({ min: 0, max: 86_399 }),
    fc.integer({ min: 0, max: 999_999 }),
  )
  .map(([year, month, day, second, micro]) => {
    const two = (n: number) => String(n).padStart(2, '0');
    const date = `${String(year <= 0 ? 1 - year : year).padStart(4, '0')}-${two(month)}-${two(day)}`;
    return `${date} ${two(Math.floor(second / 3600))}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}.${String(micro).padStart(6, '0')}${year <= 0 ? ' BC' : ''}`;
  });
const recent = fc
  .integer({ min: 0, max: 4_000_000_000 })
  .map((second) => new Date(second * 1000).toISOString().replace('T', ' ').replace('Z', ''));
const clock = fc.integer({ min: 0, max: 86_399_999 }).map((ms) => new Date(ms).toISOString().slice(11, 23));
const unicode = fc
  .string({ unit: 'binary', maxLength: 40 })
  .map((text) => text.replaceAll('\0', ''))
  .filter((text) => !/\p{Surrogate}/u.test(text));
const hex = fc.uint8Array({ maxLength: 40 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`);
const json = fc.json().filter((text) => !text.includes('\\u0000') && !/\p{Surrogate}/u.test(text) && !/\\ud[89a-f]/i.test(text));
const v6 = fc
  .array(fc.constantFrom('0', '0', '0', 'ffff', '1', 'abcd', '20'), { minLength: 8, maxLength: 8 })
  .map((words) => words.join(':'));
const clockEnds = [
  '4714-11-24 00:00:00 BC',
  '0001-12-31 23:59:59.999999 BC',
  '0001-01-01 00:00:00',
  '9999-12-31 23:59:59.999999',
  '10000-01-01 00:00:00',
  '294276-12-31 23:59:59.999999',
  'infinity',
  '-infinity',
  '1970-01-01 00:00:00',
  '1999-12-31 23:59:59.999999',
  '2000-01-01 00:00:00',
  '1713-01-01 00:00:00.000001',
  '2286-01-01 00:00:00.000001',
];

const kinds: [ColumnType, string[], fc.Arbitrary<string>?][] = [
  [{ kind: 'bool' }, ['t', 'f']],
  [{ kind: 'int2' }, ['-32768', '32767', '0', '-1'], whole(16)],
  [{ kind: 'int4' }, ['-2147483648', '2147483647', '0', '-1', '65536'], whole(32)],
  [
    { kind: 'int8' },
    [
      '-9223372036854775808',
      '9223372036854775807',
      '9007199254740991',
      '9007199254740992',
      '-9007199254740993',
      '4294967296',
      '-4294967296',
      '-1',
      '0',
    ],
    whole(64),
  ],
  [
    { kind: 'float4' },
    ['NaN', 'Infinity', '-Infinity', '-0', '0.1', '3.4028235e38', '1e-45', '16777217'],
    fc.float({ noNaN: true }).map((n) => String(n)),
  ],
  [
    { kind: 'float8' },
    ['NaN', 'Infinity', '-Infinity', '-0', '0.1', '1.7976931348623157e308', '5e-324', '123456789012345680'],
    fc.double({ noNaN: true }).map((n) => String(n)),
  ],
  [
    { kind: 'numeric' },
    [
      'NaN',
      'Infinity',
      '-Infinity',
      '0',
      '0.0',
      '0.00000001',
      '-0.5',
      '10000',
      '9999.9999',
      '99990000',
      '0.00010000',
      '12345678901234567890.123456789',
      `${'9'.repeat(131_072)}`,
      `0.${'0'.repeat(16_382)}1`,
      '100000000000000000000000000000000',
    ],
    numerics,
  ],
  [
    { kind: 'numeric', precision: 15, scale: 2 },
    ['-9999999999999.99', '0.00', '1000.10', '0.05', '100000000.00'],
    fc.tuple(digit(12), digit(2, 2)).map(([a, b]) => `${a || '0'}.${b}`),
  ],
  [
    { kind: 'text' },
    ['', ' ', '\\N', '"', "'", '\\.', '\r\n', '\u0001\u001f\u007f', '🙂', 'x'.repeat(300_000), '{}', 'NULL', '\ufffd'],
    unicode,
  ],
  [{ kind: 'varchar', length: 44 }, ['', 'é'.repeat(44)], unicode.map((text) => [...text].slice(0, 44).join(''))],
  [{ kind: 'char', length: 5 }, ['', 'a', 'abcde', 'é 🙂'], unicode.map((text) => [...text.trimEnd()].slice(0, 5).join(''))],
  [{ kind: 'bytea' }, ['\\x', '\\x00', '\\xff00ff'], hex],
  [
    { kind: 'date' },
    [
      '4714-11-24 BC',
      '0044-03-15 BC',
      '0001-12-31 BC',
      '0001-01-01',
      '2024-02-29',
      '9999-12-31',
      '10000-01-01',
      '5874897-12-31',
      'infinity',
      '-infinity',
    ],
    stamps.map((text) => text.replace(/ \d\d:.*?(?= BC|$)/, '')),
  ],
  [{ kind: 'timestamp' }, clockEnds, fc.oneof(stamps, recent)],
  [{ kind: 'timestamptz' }, clockEnds, fc.oneof(stamps, recent)],
  [{ kind: 'timestamp', precision: 3 }, ['2024-02-29 23:59:59.123'], recent],
  [{ kind: 'timestamptz', precision: 0 }, ['2024-02-29 23:59:59'], recent.map((text) => text.slice(0, 19))],
  [{ kind: 'time' }, ['00:00:00', '24:00:00', '23:59:59.999999', '12:00:00.1'], clock],
  [
    { kind: 'timetz' },
    ['00:00:00+00', '24:00:00-15:59:59', '23:59:59.999999+15:59', '12:30:00.5-03:30'],
    fc.tuple(clock, fc.constantFrom('+00', '-11:30', '+05:45', '-00:00:01')).map((parts) => parts.join('')),
  ],
  [
    { kind: 'interval' },
    [
      'PT0S',
      '1 year -2 mons 3 days -04:05:06.7',
      '-178000000 years',
      '178000000 years 11 mons',
      '00:00:00.000001',
      '-00:00:00.5',
      '2562047788:00:54.775807',
      '999999 days',
      '14 mons',
    ],
    fc
      .tuple(fc.integer({ min: -1e6, max: 1e6 }), fc.integer({ min: -1e6, max: 1e6 }), fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }))
      .map(([months, days, micros]) => `${months} mons ${days} days ${micros} microseconds`),
  ],
  [{ kind: 'uuid' }, ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'], fc.uuid()],
  [{ kind: 'json' }, ['null', ' { "a" : 1.0, "a":2 } ', '"\\u00e9"', '123456789012345678901234567890'], json],
  [{ kind: 'jsonb' }, ['null', '{"b":1.0,"a":[1,{}]}', '"é"', '123456789012345678901234567890.10'], json],
  [
    { kind: 'inet' },
    [
      '0.0.0.0',
      '192.168.1.1/24',
      '255.255.255.255/0',
      '::',
      '::1',
      '::/0',
      '::1.2.3.4',
      '::ffff:1.2.3.4',
      '2001:db8::1/64',
      '1:0:0:2:0:0:0:3',
      'fe80::',
      '0:0:0:0:0:0:0:2',
      '0:0:0:0:0:0:1:1',
      '::ffff:0:0',
      '64:ff9b::1.2.3.4',
    ],
    v6,
  ],
  [{ kind: 'cidr' }, ['10.0.0.0/8', '192.168.1.1/32', '::/0', '2001:db8::/32']],
  [{ kind: 'macaddr' }, ['08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff']],
  [{ kind: 'macaddr8' }, ['08:00:2b:01:02:03:04:05']],
  [
    { kind: 'bit', length: 11 },
    ['10101010101', '00000000000'],
    fc.string({ unit: fc.constantFrom('0', '1'), minLength: 11, maxLength: 11 }),
  ],
  [{ kind: 'varbit' }, ['', '1', '10000000', '011111111'], fc.string({ unit: fc.constantFrom('0', '1'), maxLength: 40 })],
  [{ kind: 'enum', name: 'mood', labels: moods }, moods],
  [{ kind: 'domain', name: 'price', of: { kind: 'numeric', precision: 12, scale: 2 } }, ['1.10', '-0.01']],
  [{ kind: 'array', of: { kind: 'int4' } }, ['{}', '{1,NULL,-3}', '{{1,2},{3,NULL}}', '{{{1}},{{2}}}']],
  [
    { kind: 'array', of: { kind: 'text' } },
    ['{}', '{"",NULL,"NULL","a,b","{x}","\\"","\\\\"," ",🙂}'],
    fc.array(fc.option(unicode), { maxLength: 5 }).map((items) => textCodec({ kind: 'array', of: { kind: 'text' } }).print(items)),
  ],
  [{ kind: 'array', of: { kind: 'numeric' } }, ['{1.10,NaN,NULL,Infinity}']],
  [{ kind: 'array', of: { kind: 'timestamptz' } }, ['{"2024-01-01 00:00:00+00",infinity,NULL}']],
  [{ kind: 'array', of: { kind: 'bytea' } }, ['{"\\\\x00ff",NULL,"\\\\x"}']],
  [{ kind: 'array', of: { kind: 'bool' } }, ['{t,f,NULL}']],
  [{ kind: 'array', of: { kind: 'jsonb' } }, ['{"{\\"a\\": 1}",NULL}']],
  [{ kind: 'array', of: { kind: 'enum', name: 'mood', labels: moods } }, ['{sad,NULL,"zażółć 🙂"}']],
  [{ kind: 'range', name: 'int4range' }, ['empty', '[1,10)', '(,)', '[5,)']],
  [{ kind: 'range', name: 'tstzrange' }, ['["2024-01-01 00:00:00+00",)']],
  [{ kind: 'other', name: 'point' }, ['(1.5,-2)']],
  [{ kind: 'other', name: 'money' }, ['$1,234.50', '-$0.01']],
  [{ kind: 'other', name: 'xml' }, ['<a>é</a>']],
  [{ kind: 'other', name: 'tsvector' }, ["'a':1 'b'"]],
];

test.for(kinds.map((kind) => [typeName(kind[0]), ...kind] as const))(
  '%s: what is read is what Postgres prints, and what is written it prints again',
  async ([, type, extremes, more]) => {
    const generated = more ? fc.sample(more, { numRuns: 300, seed: 2 }) : [];
    const values = [...extremes, ...generated];
    const sql = sqlType(type);
    await session.execute(
      `drop table if exists source, target; create table source (at int4, v ${sql}); create table target (at int4, v ${formOf(type) === 'text' ? 'text' : sql})`,
    );
    await session.execute(`insert into source select o, v::${sql} from unnest(${literal(values)}::text[]) with ordinality u(v, o)`);
    await session.execute('insert into source values (0, null)');
    const expected = await session.query(`select ${textOf({ type, sql: 'v' })} as v from source order by at`);
    const codec = textCodec(type);

    const schema = {
      columns: [
        { name: 'at', type: { kind: 'int4' as const }, nullable: true },
        { name: 'v', type, nullable: true },
      ],
    };
    const copy = session.copyOut(
      `copy (select at, ${formOf(type) === 'text' ? textOf({ type, sql: 'v' }) : 'v'} as v from source order by at) to stdout (format binary)`,
    );
    const back = session.copyIn('copy target from stdin (format binary)');
    const encoder = binaryEncoder(schema.columns);
    back.stream.write(encoder.header);
    const read: unknown[] = [];
    const pieces: Buffer[] = [];
    for await (const batch of binaryBatches(copy.stream, schema, copy.done, undefined, { rows: 64, bytes: 4096 })) {
      read.push(...rowsOf(batch).map((row) => row['v']));
      const vectors = batch.vectors.map((vector) =>
        valuesVector(
          vector.type,
          Array.from({ length: batch.rowCount }, (_, row) => vector.get(row)),
        ),
      );
      pieces.push(...encoder.encode({ ...batch, vectors }));
    }
    expect(read).toEqual(expected.map(({ v }) => (v === null || v === undefined ? null : codec.parse(v))));

    for (const piece of pieces) back.stream.write(piece);
    back.stream.end(encoder.trailer);
    expect(await back.done).toEqual({ rows: values.length + 1 });
    const written = await session.query(
      `select ${formOf(type) === 'text' ? 'v' : textOf({ type, sql: 'v' })} as v from target order by at`,
    );
    expect(written).toEqual(expected);
  },
);
