import { type AlterParts, alterSteps } from './alter-table.ts';
import { type Dialect, WordReader, wordsOf } from './statement-words.ts';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** What a statement of the log means to whoever follows tables. Pure; `schema` is the one that its session was in. */
export type Statement =
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'savepoint' | 'rollback-to' }
  /** `xa-end`: what was prepared under XA commits, or is taken back. */
  | { readonly kind: 'xa-begin' | 'xa-end' | 'xa-other' }
  | { readonly kind: 'truncate'; readonly table: TableName }
  | { readonly kind: 'drop'; readonly tables: readonly TableName[] }
  | { readonly kind: 'drop-schema'; readonly schema: string }
  | { readonly kind: 'rename'; readonly renames: readonly { readonly from: TableName; readonly to: TableName }[] }
  /** Steps that could not be understood matter only for a table that somebody follows. */
  | ({ readonly kind: 'alter'; readonly table: TableName } & AlterParts)
  /** It may replace a table of this name. */
  | { readonly kind: 'create'; readonly table: TableName; readonly replaces: boolean }
  /** The server has emptied a table that it keeps in memory, after a restart. */
  | { readonly kind: 'emptied' }
  /** Rows changed by a statement, where rows themselves should stand. `table` is null where it is not known. */
  | { readonly kind: 'rows'; readonly table: TableName | null; readonly verb: string }
  /** Nothing about rows or columns of tables: grants, views, procedures, indexes, accounts. */
  | { readonly kind: 'other' }
  /** Nobody knows what it does, but to which tables: some of those whose names are among its words. */
  | { readonly kind: 'unknown'; readonly verb: string; readonly words: readonly string[] };

const other: Statement = { kind: 'other' };
/** What a statement begins with that changes rows of tables. */
const rowVerbs = new Set(['INSERT', 'UPDATE', 'DELETE', 'REPLACE', 'LOAD', 'CALL', 'DO', 'SELECT', 'WITH', 'EXECUTE']);
/** What a statement begins with that changes no rows, where it is none of those below. */
const harmlessVerbs = new Set(
  [
    'BACKUP CACHE CHANGE CHECK CHECKSUM CLONE DEALLOCATE EXPLAIN FLUSH GRANT HELP INSTALL KILL LOCK OPTIMIZE PREPARE PURGE REPAIR RESET',
    'RESIGNAL REVOKE SET SHOW SHUTDOWN SIGNAL STOP UNINSTALL UNLOCK USE',
  ].flatMap((list) => list.split(' ')),
);
/** As servers wrote it before they wrote TRUNCATE. Source: sql_base.cc, open_table_entry_fini. */
const emptied = /^DELETE FROM `(?:[^`]|``)+`\.`(?:[^`]|``)+`$/;

export function readStatement(sql: string, schema: string, dialect: Dialect = {}): Statement {
  // Nearly all of them.
  if (sql === 'BEGIN') return { kind: 'begin' };
  if (sql === 'COMMIT') return { kind: 'commit' };
  if (emptied.test(sql)) return { kind: 'emptied' };
  return read(new WordReader(wordsOf(sql, dialect)), schema);
}

function read(words: WordReader, schema: string): Statement {
  const verb = words.next()?.key ?? '';
  switch (verb) {
    case 'SET':
      // MariaDB: SET STATEMENT max_statement_time = 1 FOR TRUNCATE TABLE t
      return words.skip('STATEMENT') ? (readBehind('FOR', words, schema) ?? unknown(verb, words)) : other;
    case 'ANALYZE':
      return words.skip('TABLE') || words.skip('TABLES') || words.skip('LOCAL') || words.skip('NO_WRITE_TO_BINLOG')
        ? other
        : unknown(verb, words);
    case 'BEGIN':
      return { kind: 'begin' };
    case 'START':
      return words.skip('TRANSACTION') ? { kind: 'begin' } : other;
    case 'COMMIT':
      return { kind: 'commit' };
    case 'ROLLBACK':
      return { kind: words.has('TO') ? 'rollback-to' : 'rollback' };
    case 'SAVEPOINT':
    case 'RELEASE':
      return { kind: 'savepoint' };
    case 'XA':
      if (words.skip('START') || words.skip('BEGIN')) return { kind: 'xa-begin' };
      return { kind: words.skip('COMMIT') || words.skip('ROLLBACK') ? 'xa-end' : 'xa-other' };
    case 'TRUNCATE': {
      words.skip('TABLE');
      const table = words.tableName(schema);
      return table ? { kind: 'truncate', table } : other;
    }
    case 'DROP':
      return drop(words, schema);
    case 'RENAME':
      return words.skip('TABLE') || words.skip('TABLES') ? rename(words, schema) : other;
    case 'ALTER':
      return alter(words, schema);
    case 'CREATE':
      return create(words, schema);
    default:
      if (rowVerbs.has(verb)) return { kind: 'rows', verb, table: rowsOf(verb, words, schema) };
      return verb === '' || harmlessVerbs.has(verb) ? other : unknown(verb, words);
  }
}

function readBehind(key: string, words: WordReader, schema: string): Statement | null {
  const rest = words.rest();
  return rest.skipTo(key) ? read(rest, schema) : null;
}

function unknown(verb: string, words: WordReader): Statement {
  const names: string[] = [];
  for (let word = words.next() ?? null; word; word = words.next() ?? null)
    if (word.kind === 'word' || word.kind === 'name') names.push(word.text);
  return { kind: 'unknown', verb, words: names };
}

function drop(words: WordReader, schema: string): Statement {
  if (words.skip('DATABASE') || words.skip('SCHEMA')) {
    words.skip('IF', 'EXISTS');
    const name = words.name();
    return name === null ? other : { kind: 'drop-schema', schema: name };
  }
  if (words.skip('TEMPORARY') || !(words.skip('TABLE') || words.skip('TABLES'))) return other;
  words.skip('IF', 'EXISTS');
  const tables: TableName[] = [];
  for (let item = words.item(); item; item = words.item()) {
    const table = item.tableName(schema);
    if (table) tables.push(table);
  }
  return { kind: 'drop', tables };
}

function rename(words: WordReader, schema: string): Statement {
  words.skip('IF', 'EXISTS');
  const renames: { from: TableName; to: TableName }[] = [];
  for (let item = words.item(); item; item = words.item()) {
    const from = item.tableName(schema);
    // MariaDB may have WAIT n or NOWAIT in between.
    while (!item.isAtEnd && !item.skip('TO')) item.next();
    const to = item.tableName(schema);
    if (from && to) renames.push({ from, to });
  }
  return { kind: 'rename', renames };
}

function alter(words: WordReader, schema: string): Statement {
  let ignore = false;
  for (;;) {
    if (words.skip('IGNORE')) ignore = true;
    else if (!words.skip('ONLINE') && !words.skip('OFFLINE')) break;
  }
  if (!words.skip('TABLE')) return other;
  words.skip('IF', 'EXISTS');
  const table = words.tableName(schema);
  if (!table) return other;
  if (words.skip('WAIT')) words.next();
  else words.skip('NOWAIT');
  return { kind: 'alter', table, ...alterSteps(words, schema, ignore) };
}

function create(words: WordReader, schema: string): Statement {
  const replaces = words.skip('OR', 'REPLACE');
  if (words.skip('TEMPORARY') || !words.skip('TABLE')) return other;
  words.skip('IF', 'NOT', 'EXISTS');
  const table = words.tableName(schema);
  return table ? { kind: 'create', table, replaces } : other;
}

const modifiers = ['LOW_PRIORITY', 'DELAYED', 'HIGH_PRIORITY', 'QUICK', 'IGNORE', 'CONCURRENT', 'DATA', 'LOCAL'];

/** The table that a statement names first. */
function rowsOf(verb: string, words: WordReader, schema: string): TableName | null {
  if (!['INSERT', 'UPDATE', 'DELETE', 'REPLACE', 'LOAD'].includes(verb)) return null;
  while (modifiers.some((modifier) => words.skip(modifier)));
  if (verb === 'LOAD') {
    while (!words.isAtEnd && !words.skip('INTO', 'TABLE')) words.next();
    return words.tableName(schema);
  }
  if (verb === 'DELETE') return words.skip('FROM') ? words.tableName(schema) : null;
  words.skip('INTO');
  return words.tableName(schema);
}
