import type { CatalogColumn } from './catalog.ts';
import { quoteIdentifier } from './identifier.ts';
import { bytesLiteral, literal } from './literal.ts';
import type { Session } from './session.ts';

/** How the bounds of a key are written: in JSON as SQL has them without its quotes, bytes in hex. */
export type KeyForm = 'integer' | 'text' | 'uuid' | 'bytes';

/** Values of a key between its least and its greatest, as numbers that can be halved. */
export interface KeySpace {
  readonly form: KeyForm;
  readonly low: bigint;
  /** Beyond the greatest. */
  readonly high: bigint;
  /** As JSON keeps it. */
  bound(value: bigint): string;
}

const integers = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint']);
const bytes = new Set(['binary', 'varbinary']);
const texts = new Set(['char', 'varchar']);

export function keyForm({ dataType, charset }: CatalogColumn): KeyForm | null {
  if (integers.has(dataType)) return 'integer';
  if (bytes.has(dataType)) return 'bytes';
  if (dataType === 'uuid') return 'uuid';
  return texts.has(dataType) && charset !== null ? 'text' : null;
}

export function boundSql(form: KeyForm, bound: string): string {
  if (form === 'integer') return String(BigInt(bound));
  return form === 'bytes' ? bytesLiteral(Buffer.from(bound, 'hex')) : literal(bound);
}

/** Null for a table without rows. */
export async function keySpace(session: Session, table: string, column: CatalogColumn): Promise<KeySpace | null> {
  const form = keyForm(column) ?? 'text';
  const name = quoteIdentifier(column.name);
  const shown = (end: string): string =>
    form === 'bytes' ? `HEX(LEFT(${end}(${name}), ${byteWidth}))` : form === 'text' ? `LEFT(${end}(${name}), 64)` : `${end}(${name})`;
  const [ends] = await session.query(`SELECT ${shown('MIN')} AS low, ${shown('MAX')} AS high FROM ${table}`, table);
  if (ends?.['low'] == null || ends['high'] == null) return null;
  const { low, high } = ends as { low: string; high: string };
  if (form === 'integer') return { form, low: BigInt(low), high: BigInt(high) + 1n, bound: String };
  if (form === 'text') return textSpace(low, high, /_bin$/.test(column.collation ?? ''));
  return form === 'bytes' ? byteSpace(low, high) : uuidSpace(low, high);
}

const byteWidth = 16;

function byteSpace(low: string, high: string): KeySpace {
  const number = (hex: string): bigint => BigInt(`0x${hex.padEnd(byteWidth * 2, '0')}`);
  return { form: 'bytes', low: number(low), high: number(high) + 1n, bound: (value) => value.toString(16).padStart(byteWidth * 2, '0') };
}

/** MariaDB sorts UUIDs of the versions 1 to 5 by their last twelve digits first, others as they are written. */
function uuidSpace(low: string, high: string): KeySpace {
  const version = low[14] ?? '4';
  const isSwapped = /[1-5]/.test(version);
  const digits = (uuid: string): string => (isSwapped ? uuid.slice(24) : uuid.replaceAll('-', '').slice(0, 12));
  const number = (uuid: string): bigint => BigInt(`0x${digits(uuid)}`);
  const bound = (value: bigint): string => {
    const text = value.toString(16).padStart(12, '0');
    if (isSwapped) return `00000000-0000-${version}000-8000-${text}`;
    return `${text.slice(0, 8)}-${text.slice(8)}-${version}000-8000-000000000000`;
  };
  return { form: 'uuid', low: number(low), high: number(high) + 1n, bound };
}

/** Characters behind what all keys begin with. */
const width = 10;

/**
 * Digits and letters, which all collations have in this order, in one case but where their bytes are compared; another character counts as
 * the one before it.
 */
function textSpace(least: string, greatest: string, distinct: boolean): KeySpace {
  const alphabet = distinct ? '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz' : '0123456789abcdefghijklmnopqrstuvwxyz';
  const plain = (text: string): string => (distinct ? text : text.toLowerCase());
  const [low, high] = [plain(least), plain(greatest)];
  let common = 0;
  while (common < low.length && low[common] === high[common] && low.charCodeAt(common) < 128) common++;
  const base = BigInt(alphabet.length);
  const digit = (character: string | undefined): bigint => {
    if (character === undefined) return 0n;
    let at = 0;
    while (at < alphabet.length && alphabet[at]! <= character) at++;
    return BigInt(Math.max(0, at - 1));
  };
  const number = (text: string): bigint =>
    Array.from({ length: width }, (_, at) => digit(text[common + at])).reduce((sum, one) => sum * base + one, 0n);
  const bound = (value: bigint): string => {
    let text = '';
    for (let left = value, at = 0; at < width; at++, left /= base) text = alphabet[Number(left % base)]! + text;
    return low.slice(0, common) + text.replace(/0+$/, '');
  };
  return { form: 'text', low: number(low), high: number(high) + 1n, bound };
}

/** Whether the server has bounds in this order too: where it has not, ranges between them would overlap. */
export async function risesAtServer(
  session: Session,
  { charset, collation }: CatalogColumn,
  form: KeyForm,
  bounds: readonly string[],
): Promise<boolean> {
  if (form === 'integer' || bounds.length < 2) return true;
  const value = (bound: string): string => {
    if (form === 'bytes') return boundSql(form, bound);
    return form === 'uuid' ? `CAST(${literal(bound)} AS UUID)` : `CONVERT(${literal(bound)} USING ${charset}) COLLATE ${collation}`;
  };
  const pairs = bounds.slice(1).map((bound, at) => `${value(bounds[at]!)} < ${value(bound)}`);
  const [row] = await session.query(`SELECT ${pairs.join(' AND ')} AS rises`);
  return row?.['rises'] === '1';
}
