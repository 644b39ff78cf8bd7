/** An object of the database that a file has made, as it is told from all others there. */
export interface SqlObject {
  readonly kind: ObjectKind;
  readonly schema: string;
  readonly name: string;
  /** As SQL names it, quoted where it must be: `analytics.daily_sales`, `analytics.f(integer)`, `tell on public.orders`. */
  readonly identity: string;
  /** Hash of its definition as the server prints it, to see whether somebody else has changed it; null where it is not compared. */
  readonly definition: string | null;
  /** Set where its file does not make it any longer, and nobody has asked for it to be dropped. */
  readonly left?: true;
}

/** What holds no rows of its own, so that it can be dropped and made anew from its file. Tables and sequences are not watched. */
export type ObjectKind = 'view' | 'materialized view' | 'function' | 'procedure' | 'aggregate' | 'trigger' | 'type' | 'index';

export const keyOf = ({ kind, identity }: Pick<SqlObject, 'kind' | 'identity'>): string => `${kind} ${identity}`;

/**
 * Whether the text makes the object, as far as can be told without parsing SQL. Asked only where the catalog cannot tell: of an object that
 * was there before the file was run, and that a GRANT touches as well as CREATE OR REPLACE does.
 */
export function isMadeBy(text: string, { kind, name }: Pick<SqlObject, 'kind' | 'name'>): boolean {
  const word = { 'materialized view': 'materialized\\s+view', type: '(?:type|domain)' }[kind as string] ?? kind;
  const escaped = name.replaceAll('"', '""').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(
    `\\bcreate\\s+(?:or\\s+replace\\s+)?(?:unique\\s+|constraint\\s+|recursive\\s+)?${word}\\s+(?:if\\s+not\\s+exists\\s+)?(?:(?:"(?:[^"]|"")+"|[\\w$]+)\\s*\\.\\s*)?"?${escaped}(?![\\w$])`,
    'iu',
  ).test(text);
}
