import fc from 'fast-check';
import type { MariaDbServer } from '../../../test/mariadb-server.ts';

/** A type of columns, and values of it as SQL writes them. */
export interface SqlType {
  readonly type: string;
  readonly values: readonly string[];
  /** Values of all kinds. */
  readonly any: fc.Arbitrary<string>;
}

type Listed = readonly [type: string, values: readonly string[], any?: fc.Arbitrary<string>];

const whole = (min: bigint, max: bigint): fc.Arbitrary<string> => fc.bigInt({ min, max }).map(String);
const signed = (bits: number) => whole(-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n);
const unsigned = (bits: number) => whole(0n, 2n ** BigInt(bits) - 1n);
const bytes = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((list) => `x'${Buffer.from(list).toString('hex')}'`);
/** Characters that every character set has, and those of a sample. */
const text = (maxLength: number, characters = ''): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom(...'abz09 .,"%_', '\\\\', "''", ...characters), { maxLength })
    .map((list) => list.join(''))
    .map((list) => `'${list}'`);
const digits = (most: number) => fc.integer({ min: 0, max: most }).map((number) => String(number).padStart(String(most).length, '0'));
const day = fc
  .tuple(fc.integer({ min: 1000, max: 9999 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map((parts) => parts.map((part) => String(part).padStart(2, '0')).join('-'));
const clock = fc.tuple(digits(23), digits(59), digits(59)).map((parts) => parts.map((part) => part.slice(-2)).join(':'));
const fraction = (decimals: number) => (decimals === 0 ? fc.constant('') : digits(10 ** decimals - 1).map((part) => `.${part}`));
const moment = (decimals: number) => fc.tuple(day, clock, fraction(decimals)).map(([date, time, rest]) => `'${date} ${time}${rest}'`);
const recent = (decimals: number) =>
  fc.tuple(fc.integer({ min: 1971, max: 2037 }), clock, fraction(decimals)).map(([year, time, rest]) => `'${year}-02-03 ${time}${rest}'`);
const length = (decimals: number) =>
  fc
    .tuple(fc.boolean(), fc.integer({ min: 0, max: 837 }), clock, fraction(decimals))
    .map(([minus, hours, time, rest]) => `'${minus ? '-' : ''}${hours}:${time.slice(3)}${rest}'`);
const decimal = (before: number, after: number) =>
  fc
    .tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** BigInt(before) - 1n }), fc.bigInt({ min: 0n, max: 10n ** BigInt(after) - 1n }))
    .map(([minus, whole, rest]) => `${minus ? '-' : ''}${whole}${after > 0 ? `.${String(rest).padStart(after, '0')}` : ''}`);
const point = fc
  .tuple(fc.integer({ min: -80, max: 80 }), fc.integer({ min: -80, max: 80 }))
  .map(([x, y]) => `ST_GeomFromText('POINT(${x} ${y})', 4326)`);
const json = fc.json({ maxDepth: 3 }).map((value) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`);

const character = (set: string, sample: string): Listed => [`varchar(20) character set ${set}`, [`'${sample}'`], text(20, sample)];
const labels = (count: number, letter: string) => Array.from({ length: count }, (_, place) => `'${letter}${place}'`);

const everywhere: readonly Listed[] = [
  ['tinyint', ['-128', '127', '0'], signed(8)],
  ['tinyint unsigned', ['255', '0'], unsigned(8)],
  ['smallint', ['-32768', '32767'], signed(16)],
  ['smallint unsigned', ['65535'], unsigned(16)],
  ['mediumint', ['-8388608', '8388607', '-1'], signed(24)],
  ['mediumint unsigned', ['16777215'], unsigned(24)],
  ['int', ['-2147483648', '2147483647'], signed(32)],
  ['int unsigned', ['4294967295', '4000000000'], unsigned(32)],
  ['int(8) unsigned zerofill', ['42', '4294967295'], unsigned(32)],
  ['bigint', ['-9223372036854775808', '9223372036854775807', '-1', '9007199254740993', '-9007199254740993'], signed(64)],
  ['bigint unsigned', ['18446744073709551615', '0', '9007199254740993'], unsigned(64)],
  ['decimal(65,30)', [`${'9'.repeat(35)}.${'9'.repeat(30)}`, `-0.${'0'.repeat(29)}1`, '0', '-123456789.987654321'], decimal(35, 30)],
  ['decimal(10,0)', ['-1', '1234567890'], decimal(10, 0)],
  ['decimal(4,4)', ['0.0001', '-0.9999'], decimal(1, 4).map((value) => value.replace(/\d\./, '0.'))],
  ['decimal(12,3)', ['0', '-999999999.999'], decimal(9, 3)],
  ['decimal(6,2) unsigned zerofill', ['1.5']],
  [
    'float',
    ['0.1', '3.4028234663852886e38', '1.17549435e-38', '16777217', '-0.5'],
    fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
  ],
  ['float unsigned', ['0.1']],
  [
    'double',
    ['1.7976931348623157e308', '5e-324', '0.1', '-0.0001', '123456789012345680'],
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  ],
  ['bit(1)', [`b'1'`, `b'0'`]],
  ['bit(10)', [`b'101'`], unsigned(10)],
  ['bit(64)', ['0xffffffffffffffff', '0x8000000000000001'], unsigned(64)],
  ['year', ['1901', '2155', '0']],
  ['date', [`'1000-01-01'`, `'9999-12-31'`, `'2024-02-29'`], day.map((date) => `'${date}'`)],
  ['datetime', [`'2024-02-29 23:59:59'`], moment(0)],
  ['datetime(1)', [`'2024-02-29 23:59:59.1'`], moment(1)],
  ['datetime(3)', [`'2024-02-29 23:59:59.120'`], moment(3)],
  ['datetime(5)', [`'2024-02-29 23:59:59.00001'`], moment(5)],
  ['datetime(6)', [`'9999-12-31 23:59:59.999999'`, `'2024-02-29 00:00:00.100000'`, `'2024-02-29 10:00:00'`], moment(6)],
  ['timestamp null', [`'2024-02-29 03:00:00'`], recent(0)],
  ['timestamp(2) null', [`'2024-02-29 03:00:00.25'`], recent(2)],
  ['timestamp(6) null', [`'2038-01-19 06:14:07.999999'`, `'1970-01-01 03:00:01.5'`], recent(6)],
  ['time', [`'838:59:59'`, `'-838:59:59'`, `'00:00:00'`, `'12:00:30'`, `'-00:00:01'`], length(0)],
  ['time(2)', [`'-00:00:00.01'`, `'1:00:00.5'`, `'-838:59:59'`], length(2)],
  ['time(4)', [`'-00:00:00.0001'`, `'-1:00:00'`], length(4)],
  ['time(6)', [`'-00:00:00.000001'`, `'24:00:00.100000'`, `'-838:59:58.999999'`], length(6)],
  ['char(5)', [`'ab '`, `''`, `'üüüüü'`], text(5, 'ü🦉日')],
  ['char(255)', [`repeat('é', 255)`], text(60, 'é')],
  ['char(5) character set latin1', [`'Zür €'`], text(5, 'Zür€')],
  ['varchar(20)', [`'ab '`, `'\\t\\n"\\\\,'`, `'🦉ü'`], text(20, 'ü🦉日')],
  ['varchar(300)', [`repeat('é', 300)`, `''`], text(90, 'é')],
  character('ascii', 'ab'),
  character('latin1', 'Zürich €ŸŽ'),
  character('latin2', 'žluťoučký'),
  character('cp850', 'Zürich ▓'),
  character('koi8r', 'мир'),
  character('cp1251', 'мир'),
  character('greek', 'αβγ'),
  character('hebrew', 'שלום'),
  character('tis620', 'สวัสดี'),
  character('armscii8', 'Հայ'),
  character('macroman', 'Zürich'),
  character('utf8mb3', 'žluť'),
  character('ucs2', '日本'),
  character('utf16', '日本🦉'),
  character('utf16le', '日本🦉'),
  character('utf32', '日本🦉'),
  character('sjis', '日本'),
  character('cp932', '日本①'),
  character('ujis', '日本'),
  character('eucjpms', '日本①'),
  character('gbk', '中国'),
  character('gb2312', '中国'),
  character('big5', '中國'),
  character('euckr', '한국'),
  ['tinytext', [`'x'`, `''`], text(50, 'ü🦉')],
  ['text character set latin1', [`'é€'`], text(50, 'é€')],
  ['mediumtext', [`repeat('é', 70000)`], text(50, 'ü🦉')],
  ['json', [`'{"a": [1, null, "ü"]}'`], json],
  [`enum('a','it''s','ü, or not')`, [`'it''s'`, `'ü, or not'`]],
  [`enum(${labels(300, 'l').join(',')})`, [`'l299'`, `'l0'`]],
  [`set('a','b','c')`, [`'a,c'`, `''`]],
  [`set(${labels(64, 'm').join(',')})`, [`'m0,m63'`]],
  [`enum('é','ß') character set latin1`, [`'ß'`]],
  ["set('é','x') character set utf16", [`'é,x'`]],
  ['binary(3)', [`x'00ff'`, `x'000000'`], bytes(3)],
  ['varbinary(10)', [`x'005c0a27'`, `''`], bytes(10)],
  ['varbinary(300)', [`x'00'`], bytes(200)],
  ['blob', [`x''`, `x'00'`], bytes(50)],
  ['longblob', [`repeat(x'e9', 70000)`], bytes(50)],
  ['point', [`ST_GeomFromText('POINT(1 2)')`, `ST_GeomFromText('POINT(1 2)', 4326)`], point],
  ['geometry', [`ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')`], point],
];

const mariadb: readonly Listed[] = [
  // Bytes that are no characters, which this server takes.
  ['varchar(20) character set ascii', [`_binary x'6180ff'`]],
  ['longtext compressed', [`repeat('compress me ', 500)`, `'short'`, `''`], text(300, 'ü🦉')],
  ['text character set latin1 compressed', [`repeat('é', 500)`], text(300, 'é€')],
  ['varchar(500) compressed', [`repeat('ab', 200)`], text(300, 'ü🦉')],
  ['varbinary(500) compressed', [`repeat(x'e9', 200)`], bytes(300)],
  [
    'uuid',
    [`'123e4567-e89b-12d3-a456-426614174000'`, `'a6b8c1d2-1234-4abc-8def-001122334455'`, `'01890a5d-ac96-774b-bcce-b302099a8057'`],
    fc.uuid().map((id) => `'${id}'`),
  ],
  [
    'inet6',
    [`'::1'`, `'2001:db8::ff00:42:8329'`, `'::ffff:1.2.3.4'`, `'::1.2.3.4'`, `'::'`, `'1::'`, `'fe80::1:0:0:1'`, `'1:0:2:3:0:4:5:6'`],
    fc.ipV6().map((address) => `'${address}'`),
  ],
  ['inet4', [`'192.168.0.1'`], fc.ipV4().map((address) => `'${address}'`)],
];

const mysql: readonly Listed[] = [
  ['vector(3)', [`to_vector('[1,-2.5,3e10]')`]],
  // The first coordinate of this system is the latitude, and the server keeps the longitude first.
  ['point srid 4326', [`ST_GeomFromText('POINT(10 20)', 4326)`], point],
  [
    'json',
    [
      `json_object('n', cast(1.50 as decimal(10,3)), 'd', date'2024-02-29', 'big', 18446744073709551615)`,
      `'1e20'`,
      `'1e-9'`,
      `'[1e14,1e15,1234567890123456.8,1e-15,1e-16,-0.0,1.5e300,1234567890123457.0]'`,
    ],
    json,
  ],
];

/** The types that a server has. */
export function sqlTypes(flavour: MariaDbServer['flavour']): readonly SqlType[] {
  return [...everywhere, ...(flavour === 'mariadb' ? mariadb : mysql)].map(([type, values, any]) => ({
    type,
    values,
    any: any ? fc.oneof(fc.constantFrom(...values), any) : fc.constantFrom(...values),
  }));
}
