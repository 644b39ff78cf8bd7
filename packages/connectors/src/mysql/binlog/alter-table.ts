import { columnFill } from './column-fill.ts';
import type { TableName } from './statement.ts';
import type { WordReader } from './statement-words.ts';

/** What rows that were there before a column was added have in it. */
export type StepFill =
  /** A constant as text, or null for NULL. */
  | { readonly kind: 'constant'; readonly value: string | null }
  /** The value that its type begins with: 0, the empty text, the first label. */
  | { readonly kind: 'implicit' }
  /** Each row has one of its own. */
  | { readonly kind: 'computed' };

/**
 * What an ALTER TABLE does to columns, and to what the log tells of the table. The steps of one statement happen at once: `drop`, `rename` and
 * `retype` name columns as they were before it, `add` as they are after it. JSON: it is remembered at the source.
 */
export type ColumnStep =
  /** `type`: its first word in lower case, `varchar`; absent where no statement has told of the column. */
  | { readonly do: 'add'; readonly name: string; readonly type?: string; readonly fill: StepFill }
  | { readonly do: 'drop'; readonly name: string }
  | { readonly do: 'rename'; readonly from: string; readonly to: string }
  | { readonly do: 'retype'; readonly name: string; readonly type: string }
  /** Rows change, or go, without being in the log. */
  | { readonly do: 'rewrite'; readonly how: string }
  /** From now on rows change, or go, with those of another table, and are not in the log. `how`: ON DELETE CASCADE. */
  | { readonly do: 'cascade'; readonly how: string }
  /** Its rows are kept by another engine than InnoDB. */
  | { readonly do: 'engine'; readonly engine: string };

export interface AlterParts {
  /** Null where one could not be understood. */
  readonly steps: readonly ColumnStep[] | null;
  readonly renamed: TableName | null;
  /** Tables that the statement names beside its own, and whose rows become others, or which go. */
  readonly seized: readonly { readonly table: TableName; readonly how: string }[];
}

/** Words that may follow ADD or DROP, and begin something that is no column. Some are reserved, some only before another word. */
const noColumns: readonly (readonly string[])[] = [
  ['INDEX'],
  ['KEY'],
  ['UNIQUE'],
  ['PRIMARY'],
  ['FULLTEXT'],
  ['SPATIAL'],
  ['CONSTRAINT'],
  ['FOREIGN'],
  ['CHECK'],
  ['VECTOR', 'INDEX'],
  ['VECTOR', 'KEY'],
  ['PERIOD', 'FOR'],
];

/** What rows are changed or taken away by, in the words that it begins with. */
const rewrites: readonly (readonly string[])[] = [
  ['DROP', 'PARTITION'],
  ['TRUNCATE', 'PARTITION'],
  ['EXCHANGE', 'PARTITION'],
  ['CONVERT', 'PARTITION'],
  ['CONVERT', 'TABLE'],
  ['DISCARD', 'TABLESPACE'],
  ['IMPORT', 'TABLESPACE'],
  ['DISCARD', 'PARTITION'],
  ['IMPORT', 'PARTITION'],
  // Rows of the past are in the log from then on, or are gone.
  ['ADD', 'SYSTEM', 'VERSIONING'],
  ['DROP', 'SYSTEM', 'VERSIONING'],
];

/** What ALTER IGNORE throws rows away by, or changes values. */
const lossy = ['UNIQUE', 'PRIMARY', 'MODIFY', 'CHANGE', 'PARTITION'];

/** Of a statement from behind the name of its table. `ignore`: what does not fit is made to. */
export function alterSteps(words: WordReader, schema: string, ignore = false): AlterParts {
  const steps: ColumnStep[] = [];
  const seized: { table: TableName; how: string }[] = [];
  let isUnderstood = true;
  let renamed: TableName | null = null;
  for (let item = words.item(); item; item = words.item()) {
    if (ignore && lossy.some((word) => item.has(word))) steps.push({ do: 'rewrite', how: 'ALTER IGNORE' });
    const how = rewrites.find((rewrite) => item.skip(...rewrite))?.join(' ');
    if (how !== undefined) {
      steps.push({ do: 'rewrite', how });
      const table = secondTable(how, item, schema);
      if (table) seized.push({ table, how });
      continue;
    }
    if (item.skip('RENAME')) {
      if (item.skip('INDEX') || item.skip('KEY')) continue;
      if (!item.skip('COLUMN')) {
        if (!item.skip('TO')) item.skip('AS');
        item.skipMark('=');
        renamed = item.tableName(schema);
        continue;
      }
      item.skip('IF', 'EXISTS');
      const from = item.name();
      const to = item.skip('TO') ? item.name() : null;
      if (from !== null && to !== null) steps.push({ do: 'rename', from, to });
      else isUnderstood = false;
      continue;
    }
    steps.push(...cascades(item));
    const some = oneStep(item);
    if (some) steps.push(...some);
    else isUnderstood = false;
  }
  return { steps: isUnderstood ? steps : null, renamed, seized };
}

/** EXCHANGE PARTITION p WITH TABLE t, CONVERT TABLE t TO PARTITION p */
function secondTable(how: string, item: WordReader, schema: string): TableName | null {
  if (how === 'CONVERT TABLE') return item.tableName(schema);
  if (how !== 'EXCHANGE PARTITION') return null;
  while (!item.isAtEnd && !item.skip('WITH', 'TABLE')) item.next();
  return item.tableName(schema);
}

/** What a foreign key of an item, with a name or behind a column's type, does to rows. */
function cascades(item: WordReader): ColumnStep[] {
  if (!item.has('REFERENCES')) return [];
  for (const on of ['DELETE', 'UPDATE']) {
    for (const action of [['CASCADE'], ['SET', 'NULL'], ['SET', 'DEFAULT']])
      if (item.has('ON', on, ...action)) return [{ do: 'cascade', how: ['ON', on, ...action].join(' ') }];
  }
  return [];
}

const isNoColumn = (item: WordReader): boolean => noColumns.some((words) => words.every((word, ahead) => item.peek(ahead)?.key === word));

/** Null where it could not be understood. */
function oneStep(item: WordReader): ColumnStep[] | null {
  if (item.skip('ADD')) return add(item);
  if (item.skip('DROP')) {
    if (isNoColumn(item)) return [];
    item.skip('COLUMN');
    item.skip('IF', 'EXISTS');
    const name = item.name();
    return name === null ? null : [{ do: 'drop', name }];
  }
  if (item.skip('CHANGE')) {
    item.skip('COLUMN');
    item.skip('IF', 'EXISTS');
    const from = item.name();
    const to = item.name();
    const type = typeOf(item);
    if (from === null || to === null || type === null) return null;
    return [...(from === to ? [] : [{ do: 'rename', from, to } as const]), { do: 'retype', name: from, type }];
  }
  if (item.skip('MODIFY')) {
    item.skip('COLUMN');
    item.skip('IF', 'EXISTS');
    const name = item.name();
    const type = typeOf(item);
    return name === null || type === null ? null : [{ do: 'retype', name, type }];
  }
  // What follows is about a column, which may have any name.
  if (item.skip('ALTER') || item.skip('ORDER')) return [];
  const engine = engineOf(item);
  if (engine !== null && engine.toLowerCase() !== 'innodb') return [{ do: 'engine', engine }];
  // CONVERT TO CHARACTER SET, FORCE, …: names and types stay.
  return [];
}

/** Options of a table may have no commas between them. */
function engineOf(item: WordReader): string | null {
  while (!item.isAtEnd && !item.skip('ENGINE')) if (!item.parentheses()) item.next();
  item.skipMark('=');
  return item.next()?.text ?? null;
}

const typeOf = (item: WordReader): string | null => item.peek()?.key.toLowerCase() || null;

function add(item: WordReader): ColumnStep[] | null {
  if (isNoColumn(item)) return [];
  if (item.skip('PARTITION')) return [];
  item.skip('COLUMN');
  item.skip('IF', 'NOT', 'EXISTS');
  const several = item.parentheses();
  if (several) {
    const steps: ColumnStep[] = [];
    for (let one = several.item(); one; one = several.item()) {
      steps.push(...cascades(one));
      if (isNoColumn(one)) continue;
      const step = column(one);
      if (!step) return null;
      steps.push(step);
    }
    return steps;
  }
  const step = column(item);
  return step && [step];
}

function column(words: WordReader): ColumnStep | null {
  const name = words.name();
  const type = typeOf(words);
  return name === null || type === null ? null : { do: 'add', name, type, fill: columnFill(words) };
}
