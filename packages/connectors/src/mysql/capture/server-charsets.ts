import type { Charsets } from '../binlog/charset.ts';
import { WideTable } from '../binlog/wide-charset.ts';
import type { Session } from '../session.ts';
import { isWide, readWide } from './wide-charsets.ts';

/** It needs none, or is known. */
const untabled = new Set(['ascii', 'binary']);
/** What is no character of it prints as a question mark. */
const ascii = Array.from({ length: 256 }, (_, byte) => (byte < 128 ? String.fromCharCode(byte) : '?'));

/**
 * The character sets of a server. They are taken from the server itself, which converts all of their bytes for us: its `latin1` is not ISO 8859-1, its
 * `sjis` not that of the Encoding standard, and of some (`dec8`, `hp8`, `keybcs2`) nobody else has a table. `again` gives a session later, for those of
 * several bytes, which are asked for when somebody has a column in them.
 */
export async function readCharsets(session: Session, again: () => Promise<Session>): Promise<Charsets> {
  const names = new Map<number, string>();
  for (const { id, name } of await readCollations(session)) names.set(Number(id), name ?? '');
  const sets = await session.query('SELECT character_set_name AS name, maxlen AS width FROM information_schema.character_sets');
  const widths = new Map(sets.map(({ name, width }) => [name ?? '', Number(width)]));
  const narrow = [...widths].flatMap(([name, width]) => (width === 1 && /^[a-z0-9]+$/.test(name) && !untabled.has(name) ? [name] : []));
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('hex');
  const all = narrow.map((name) => `HEX(CONVERT(CONVERT(x'${bytes}' USING ${name}) USING utf32)) AS ${name}`);
  const [row] = await session.query(`SELECT ${all.join(', ')}`);
  const tables = new Map(
    narrow.map((name) => {
      const text = Buffer.from(row?.[name] ?? '', 'hex');
      return [name, Array.from({ length: text.length / 4 }, (_, byte) => String.fromCodePoint(text.readUInt32BE(4 * byte)))] as const;
    }),
  );
  tables.set('ascii', ascii);
  const wide = new Map<string, WideTable>();
  return {
    nameOf: (collation) => names.get(collation),
    tableOf: (name) => (tables.get(name)?.length === 256 ? tables.get(name) : undefined),
    wideOf: (name) => wide.get(name),
    load: (collations) => {
      const wanted = [...new Set(collations.map((collation) => names.get(collation) ?? ''))].filter(
        (name) => isWide(name) && !wide.has(name),
      );
      if (wanted.length === 0) return null;
      return again().then(async (session) => {
        for (const name of wanted) wide.set(name, new WideTable(name, await readWide(session, name, widths.get(name) ?? 1)));
      });
    },
    widthOf: (collation) => widths.get(names.get(collation) ?? '') ?? 1,
  };
}

/** MariaDB lists collations of several character sets with their numbers in another table, since 10.10. */
async function readCollations(session: Session) {
  const isWide = session.server.flavour === 'mariadb' && session.server.version >= 101_000;
  const rows = isWide
    ? await session.query(
        'SELECT id, character_set_name AS name FROM information_schema.collation_character_set_applicability WHERE id IS NOT NULL',
      )
    : [];
  const listed = await session.query('SELECT id, character_set_name AS name FROM information_schema.collations WHERE id IS NOT NULL');
  return [...listed, ...rows].filter(({ name }) => name !== null);
}
