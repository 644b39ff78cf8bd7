import { MillraceError } from '@millrace/core/runtime';

/** Redshift's limit in bytes; Postgres has 63. */
const longestName = 127;

/** @throws IDENTIFIER_INVALID */
export function quote(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (name === '' || name.includes('\0') || bytes > longestName) {
    throw new MillraceError('IDENTIFIER_INVALID', {
      message: `The name ${JSON.stringify(name.slice(0, 80))} cannot be one in Redshift: it ${name === '' ? 'is empty' : bytes > longestName ? `has ${bytes} bytes` : 'holds a NUL byte'}.`,
      remedy: `Use a name of 1 to ${longestName} bytes without NUL.`,
    });
  }
  return `"${name.replaceAll('"', '""')}"`;
}

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** Reads `sales`, `analytics.sales`, `"we.ird"."t"`. The schema is `public` where none is named. @throws IDENTIFIER_INVALID */
export function tableName(text: string): TableName {
  const parts = /^(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)$/.exec(text);
  if (!parts?.[2]) {
    throw new MillraceError('IDENTIFIER_INVALID', {
      message: `${JSON.stringify(text.slice(0, 80))} is not the name of a table.`,
      remedy: 'Write "table" or "schema.table", and put a name that holds a dot or a quote between double quotes, inner quotes doubled.',
    });
  }
  const plain = (part: string): string => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part);
  const found = { schema: plain(parts[1] ?? 'public'), name: plain(parts[2]) };
  quote(found.schema);
  quote(found.name);
  return found;
}

export const quoteTable = ({ schema, name }: TableName): string => `${quote(schema)}.${quote(name)}`;
