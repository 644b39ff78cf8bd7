import type { StepFill } from './alter-table.ts';
import type { WordReader } from './statement-words.ts';

/** Types whose columns have NULL in them where a definition says nothing else. TIMESTAMP and SERIAL are none of them. */
const nullable = new Set(
  [
    'BIT BOOL BOOLEAN TINYINT SMALLINT MEDIUMINT MIDDLEINT INT INTEGER BIGINT INT1 INT2 INT3 INT4 INT8',
    'DECIMAL DEC NUMERIC FIXED NUMBER FLOAT FLOAT4 FLOAT8 DOUBLE REAL DATE TIME DATETIME YEAR',
    'CHAR CHARACTER NCHAR NATIONAL VARCHAR VARCHARACTER NVARCHAR VARCHAR2 BINARY CHAR VARBINARY RAW',
    'TINYBLOB BLOB MEDIUMBLOB LONGBLOB TINYTEXT TEXT MEDIUMTEXT LONGTEXT LONG CLOB ENUM SET JSON UUID INET4 INET6 VECTOR',
    'GEOMETRY POINT LINESTRING POLYGON MULTIPOINT MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION GEOMCOLLECTION',
  ].flatMap((list) => list.split(' ')),
);

/** What may stand behind a default that is a constant. Anything else makes it a part of an expression. */
const behindConstant = new Set(
  [
    'NOT NULL UNIQUE PRIMARY KEY COMMENT COLLATE CHARACTER CHARSET FIRST AFTER ON CHECK CONSTRAINT REFERENCES VISIBLE INVISIBLE',
    'COLUMN_FORMAT STORAGE ENGINE_ATTRIBUTE SECONDARY_ENGINE_ATTRIBUTE COMPRESSED WITH WITHOUT',
  ].flatMap((list) => list.split(' ')),
);

/** What a column's definition, from its type on, says of rows that are there already. */
export function columnFill(words: WordReader): StepFill {
  const isNullable = nullable.has(words.peek()?.key ?? '') || (words.has('NULL') && !words.has('NOT', 'NULL') && !words.has('DEFAULT'));
  if (words.has('AS') || words.has('AUTO_INCREMENT')) return { kind: 'computed' };
  const isNotNull = words.has('NOT', 'NULL') || (words.has('KEY') && !words.has('UNIQUE'));
  while (!words.isAtEnd && !words.skip('DEFAULT')) {
    // A type and its size; what stands in parentheses has no default in it.
    if (!words.parentheses()) words.next();
  }
  const hasDefault = words.peek() !== undefined;
  if (!hasDefault && !isNullable) return { kind: 'computed' };
  if (!hasDefault) return isNotNull ? { kind: 'implicit' } : { kind: 'constant', value: null };
  const value = constant(words);
  const next = words.peek();
  if (value === undefined || (next && !behindConstant.has(next.key))) return { kind: 'computed' };
  return { kind: 'constant', value };
}

/** Undefined for what is none. */
function constant(words: WordReader): string | null | undefined {
  const first = words.next();
  switch (first?.key) {
    case 'NULL':
      return null;
    case 'TRUE':
      return '1';
    case 'FALSE':
      return '0';
  }
  if (first?.kind !== 'text') return numberFrom(first?.kind === 'name' ? '' : (first?.text ?? ''), words);
  let text = first.text;
  // Texts that follow each other are one.
  while (words.peek()?.kind === 'text') text += words.next()?.text;
  return text;
}

/** `-1.5`, which comes in pieces. */
function numberFrom(first: string, words: WordReader): string | undefined {
  let text = first;
  if (text === '-' || text === '+' || text === '.') text += words.next()?.text ?? '';
  const next = words.peek();
  if (next?.kind === 'mark' && next.text === '.' && /^[-+]?\d+$/.test(text)) {
    words.next();
    text += `.${/^\d+$/.test(words.peek()?.text ?? '') ? words.next()?.text : ''}`;
  }
  return /^[-+]?(\d+\.?\d*|\.\d+)$/.test(text) ? text.replace(/^\+/, '') : undefined;
}
