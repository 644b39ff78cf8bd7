import { MillraceError, nameParts } from '@millrace/core/runtime';
import type { JdbcSession } from './session.ts';

/** The parts of a table's name: `orders`, `shop.orders`, `"we.ird"."t"`, with a catalog before it where there is one. @throws IDENTIFIER_INVALID */
export function tableParts(name: string): string[] {
  const parts = nameParts(name);
  if (parts && parts.length <= 3 && !parts.some((part) => part.includes('\0'))) return parts;
  throw new MillraceError('IDENTIFIER_INVALID', {
    message: `${JSON.stringify(name.slice(0, 200))} is not the name of a table.`,
    remedy:
      'Write "table", "schema.table" or "catalog.schema.table", and put a part that holds a dot or a quote between double quotes, inner quotes doubled.',
    facts: { name: name.slice(0, 200) },
  });
}

/** Quotes names as the database does. @throws IDENTIFIER_INVALID */
export function quoter({ product: { quote } }: JdbcSession): (name: string) => string {
  return (name) => {
    if (name !== '' && !name.includes('\0') && (quote !== '' || /^\w+$/.test(name)))
      return `${quote}${quote === '' ? name : name.replaceAll(quote, quote + quote)}${quote}`;
    throw new MillraceError('IDENTIFIER_INVALID', {
      message: `The name ${JSON.stringify(name.slice(0, 200))} is empty, holds a NUL, or needs quotes that this database does not have.`,
      remedy: 'Use another name.',
      facts: { name: name.slice(0, 200) },
    });
  };
}

/** The one of these names that is meant: the same, else the only one that differs in upper and lower case alone. */
export function sameName<T extends { readonly name: string }>(all: readonly T[], name: string): T | undefined {
  const exact = all.find((one) => one.name === name);
  if (exact) return exact;
  const alike = all.filter((one) => one.name.toLowerCase() === name.toLowerCase());
  return alike.length === 1 ? alike[0] : undefined;
}
