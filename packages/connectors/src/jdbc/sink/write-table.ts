import { baseType, MillraceError } from '@millrace/core/runtime';
import { quoter, sameName } from '../identifier.ts';
import { sourceType } from '../types.ts';
import type { LoadWork } from './staged-load.ts';
import { insertSql, matchedSql, type Names, newestSql, repeatedSql, takenForOneSql, upsertSql } from './statements.ts';

export type Changed = Readonly<Record<string, number>>;

/** Brings staged rows into the table, within the transaction that commits them. */
export async function writeTable(work: LoadWork, staging: string, staged: number): Promise<Changed> {
  const { mode, connected, ledger, table } = work;
  const { session } = ledger;
  const names = namesOf(work, staging);
  const object = work.settings.table.name;
  if (staged === 0 && mode !== 'replace') return mode === 'merge' ? { inserted: 0, updated: 0 } : { inserted: 0 };
  switch (mode) {
    case 'append':
      return insert(work, names, staged);
    case 'replace': {
      const { affected } = await session.query(`DELETE FROM ${table.quoted}`, [], object);
      return { ...(await insert(work, names, staged)), deleted: affected ?? 0 };
    }
    case 'merge': {
      if (connected.dialect.upsert === 'on duplicate key') checkKey(work, names);
      await checkTexts(work, names);
      const repeated = Number((await session.query(repeatedSql(names))).rows[0]?.[0]);
      if (repeated > 0) await session.query(newestSql(names));
      const rows = repeated > 0 ? Number((await session.query(`SELECT COUNT(*) FROM ${staging}`)).rows[0]?.[0]) : staged;
      const updated = Number((await session.query(matchedSql(names), [], object)).rows[0]?.[0]);
      await session.query(upsertSql(names, connected.dialect), [], object);
      return { inserted: rows - updated, updated };
    }
    default:
      return mode satisfies never;
  }
}

/** @throws UNSUPPORTED where the database inserted another number of rows than were staged */
async function insert({ ledger, settings }: LoadWork, names: Names, staged: number): Promise<Changed> {
  if (staged === 0) return { inserted: 0 };
  const { affected } = await ledger.session.query(insertSql(names), [], settings.table.name);
  if (affected === staged) return { inserted: staged };
  throw new MillraceError('UNSUPPORTED', {
    message: `${staged} rows were staged for ${settings.table.name}, and it took ${affected}.`,
    remedy: 'Look for a rule or a trigger on the table that swallows rows.',
    facts: { staged, inserted: affected },
  });
}

function namesOf({ ledger, table, landing, settings, load }: LoadWork, staged: string): Names {
  const quote = quoter(ledger.session);
  const real = (name: string): string => quote(sameName(table.columns, name)?.name ?? name);
  const cursor = load.window && landing.some(({ wire }) => wire.name === load.window?.column) ? real(load.window.column) : null;
  return {
    target: table.quoted,
    staged,
    columns: landing.map(({ target }) => quote(target.name)),
    key: (settings.table.key ?? []).map(real),
    cursor,
  };
}

/** A collation may take two keys for one, of which a merge would keep one and say nothing. @throws TYPE_MISMATCH */
async function checkTexts({ landing, settings, connected: { dialect }, ledger }: LoadWork, names: Names): Promise<void> {
  const quote = quoter(ledger.session);
  const texts = landing.flatMap(({ target }) => {
    const isText = ['text', 'varchar', 'char'].includes(baseType(sourceType(dialect.product, target).type).kind);
    return isText && names.key.includes(quote(target.name)) ? [target.name] : [];
  });
  if (dialect.exactText === null || texts.length === 0) return;
  for (const sql of takenForOneSql(names, texts.map(quote), dialect.exactText)) {
    const [found] = (await ledger.session.query(sql, [], settings.table.name)).rows;
    if (!found) continue;
    throw new MillraceError('TYPE_MISMATCH', {
      message: `${settings.table.name} takes the key ${found.map((text) => JSON.stringify(text)).join(', ')} and another one of other letters or blanks for one and the same, by the collation of ${texts.map((name) => `"${name}"`).join(', ')}.`,
      remedy: 'Give the columns of the key a collation that tells all texts apart, or make the keys of the rows alike before the load.',
      facts: { object: settings.table.name, columns: texts },
    });
  }
}

/** INSERT … ON DUPLICATE KEY asks every unique index of the table, and none where there is none. */
function checkKey({ table, settings, ledger }: LoadWork, { key }: Names): void {
  const quote = quoter(ledger.session);
  const primary = table.primaryKey.map(quote);
  if (primary.length === key.length && primary.every((name) => key.includes(name))) return;
  throw new MillraceError('UNSUPPORTED', {
    message: `${settings.table.name} is to be merged by (${key.join(', ')}), and its primary key is (${primary.join(', ')}).`,
    remedy: 'Make the key of the declaration the primary key of the table.',
  });
}
