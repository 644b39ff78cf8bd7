import type { WideCharacter } from '../binlog/wide-charset.ts';
import type { Session } from '../session.ts';

const names = new Set(['big5', 'cp932', 'eucjpms', 'euckr', 'gb18030', 'gb2312', 'gbk', 'sjis', 'ujis']);

/** Whether a character set has several bytes for a character, and is no Unicode. */
export const isWide = (name: string): boolean => names.has(name);

/** All characters of a set, as the server converts them. Some tens of thousands. */
export async function readWide(session: Session, name: string, width: number): Promise<WideCharacter[]> {
  const characters: WideCharacter[] = [];
  for (const form of formsOf(name, width)) {
    const places = form.map((_, place) => `b${place}.n`);
    const text = `CONVERT(CHAR(${places.join(', ')} USING ${name}) USING utf32)`;
    const from = form.map(([first, last], place) => `${bytesBetween(first, last)} AS b${place}`);
    const rows = await session.query(`SELECT CONCAT_WS(' ', ${places.join(', ')}) AS bytes, HEX(${text}) AS text FROM ${from.join(', ')}`);
    for (const row of rows) {
      const bytes = (row['bytes'] ?? '').split(' ').reduce((sum, byte) => sum * 256 + Number(byte), 0);
      // One character, and not the mark that stands for none.
      if (row['text']?.length !== 8 || (row['text'] === questionMark && bytes !== 0x3f)) continue;
      characters.push([bytes, Number.parseInt(row['text'], 16)]);
    }
  }
  return characters;
}

const questionMark = '0000003F';

type Between = readonly [first: number, last: number];

const any: Between = [0, 255];
const upper: Between = [128, 255];
const second: Between = [48, 255];
const kanji: Between = [161, 254];
const digit: Between = [48, 57];

/** Which bytes may stand at each place, for every length that a character has. */
function formsOf(name: string, width: number): readonly (readonly Between[])[] {
  const short = [[any], [upper, second]];
  if (width === 3) return [...short, [[0x8f, 0x8f], kanji, kanji]];
  // Those behind 0x84 are counted, and need no table.
  return name === 'gb18030' ? [...short, [[0x81, 0x84], digit, [129, 254], digit]] : short;
}

/** Bytes as the column `n` of a table. Servers without WITH have this too. */
function bytesBetween(first: number, last: number): string {
  const digits = `(${Array.from({ length: 16 }, (_, digit) => `SELECT ${digit}${digit === 0 ? ' AS n' : ''}`).join(' UNION ALL ')})`;
  return `(SELECT 16 * high.n + low.n AS n FROM ${digits} AS high, ${digits} AS low WHERE 16 * high.n + low.n BETWEEN ${first} AND ${last})`;
}
