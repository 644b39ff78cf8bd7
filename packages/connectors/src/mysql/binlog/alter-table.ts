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

/** What an ALTER TABLE does to the names of columns. JSON: it is remembered at the source. */
export type ColumnStep =
  | { readonly do: 'add'; readonly name: string; readonly fill: StepFill }
  | { readonly do: 'drop'; readonly name: string }
  | { readonly do: 'rename'; readonly from: string; readonly to: string }
  /** Rows change, or go, without being in the log. */
  | { readonly do: 'rewrite'; readonly how: string };

export interface AlterParts {
  readonly steps: readonly ColumnStep[] | null;
  readonly renamed: TableName | null;
}

/** Words that may follow ADD or DROP, and begin something that is no column. */
const noColumns = new Set([
  'INDEX',
  'KEY',
  'UNIQUE',
  'PRIMARY',
  'FULLTEXT',
  'SPATIAL',
  'VECTOR',
  'CONSTRAINT',
  'FOREIGN',
  'CHECK',
  'PERIOD',
  'SYSTEM',
]);

/** Of a statement from behind the name of its table. `steps` is null where one could not be understood. */
export function alterSteps(words: WordReader, schema: string): AlterParts {
  const steps: ColumnStep[] = [];
  let renamed: TableName | null = null;
  for (let item = words.item(); item; item = words.item()) {
    if (item.skip('RENAME')) {
      if (item.skip('INDEX') || item.skip('KEY')) continue;
      if (item.skip('COLUMN')) {
        item.skip('IF', 'EXISTS');
        const from = item.name();
        const to = item.skip('TO') ? item.name() : null;
        if (from === null || to === null) return { steps: null, renamed };
        steps.push({ do: 'rename', from, to });
        continue;
      }
      if (!item.skip('TO')) item.skip('AS');
      item.skipMark('=');
      renamed = item.tableName(schema);
      continue;
    }
    const some = oneStep(item);
    if (!some) return { steps: null, renamed };
    steps.push(...some);
  }
  return { steps, renamed };
}

function oneStep(item: WordReader): ColumnStep[] | null {
  if (item.skip('ADD')) return add(item);
  if (item.skip('DROP')) {
    if (item.skip('PARTITION')) return [{ do: 'rewrite', how: 'DROP PARTITION' }];
    if (noColumns.has(item.peek()?.key ?? '')) return [];
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
    if (from === null || to === null) return null;
    return from === to ? [] : [{ do: 'rename', from, to }];
  }
  for (const rewriting of [
    ['TRUNCATE', 'PARTITION'],
    ['EXCHANGE', 'PARTITION'],
    ['CONVERT', 'PARTITION'],
    ['CONVERT', 'TABLE'],
    ['DISCARD', 'TABLESPACE'],
    ['IMPORT', 'TABLESPACE'],
    ['DISCARD', 'PARTITION'],
    ['IMPORT', 'PARTITION'],
  ])
    if (item.skip(...rewriting)) return [{ do: 'rewrite', how: rewriting.join(' ') }];
  // MODIFY, ALTER COLUMN, ENGINE, CONVERT TO CHARACTER SET, ORDER BY, …: names stay.
  return [];
}

function add(item: WordReader): ColumnStep[] | null {
  if (noColumns.has(item.peek()?.key ?? '') && item.peek()?.kind === 'word') return [];
  if (item.skip('PARTITION')) return [];
  item.skip('COLUMN');
  item.skip('IF', 'NOT', 'EXISTS');
  const several = item.parentheses();
  if (several) {
    const steps: ColumnStep[] = [];
    for (let one = several.item(); one; one = several.item()) {
      if (noColumns.has(one.peek()?.key ?? '')) continue;
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
  return name === null ? null : { do: 'add', name, fill: fillOf(words) };
}

/** What a column's definition says of rows that are there already. */
function fillOf(words: WordReader): StepFill {
  if (words.has('AS') || words.has('AUTO_INCREMENT')) return { kind: 'computed' };
  const isNotNull = words.has('NOT', 'NULL') || words.has('PRIMARY', 'KEY');
  while (!words.isAtEnd && !words.skip('DEFAULT')) {
    // A type and its size; what stands in parentheses has no default in it.
    if (!words.parentheses()) words.next();
  }
  const value = words.next();
  if (!value) return isNotNull ? { kind: 'implicit' } : { kind: 'constant', value: null };
  if (value.key === 'NULL') return { kind: 'constant', value: null };
  if (value.key === 'TRUE' || value.key === 'FALSE') return { kind: 'constant', value: value.key === 'TRUE' ? '1' : '0' };
  if (value.kind === 'text') return { kind: 'constant', value: value.text };
  const number = numberFrom(value.kind === 'mark' ? value.text : '', value.kind === 'word' ? value.text : '', words);
  return number === null ? { kind: 'computed' } : { kind: 'constant', value: number };
}

/** `-1.5`, which comes in pieces. */
function numberFrom(mark: string, word: string, words: WordReader): string | null {
  let text = mark + word;
  if (mark === '-' || mark === '+' || mark === '.') text += words.next()?.text ?? '';
  const next = words.peek();
  if (next?.kind === 'mark' && next.text === '.' && /^[-+]?\d+$/.test(text)) {
    words.next();
    text += `.${/^\d+$/.test(words.peek()?.text ?? '') ? words.next()?.text : ''}`;
  }
  return /^[-+]?(\d+\.?\d*|\.\d+)$/.test(text) ? text.replace(/^\+/, '') : null;
}
