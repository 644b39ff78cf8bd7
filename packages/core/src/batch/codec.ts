/**
 * How one column type travels as text. `text` is what Postgres prints (COPY, under DateStyle ISO, TimeZone UTC, bytea hex,
 * IntervalStyle iso_8601); `value` is what the table in `schema/column.ts` shows. NULL is nobody's business here.
 */
export interface TextCodec {
  /** Postgres's text to the value. The text is trusted: a database printed it. */
  parse(text: string): unknown;
  /** Any reasonable form of a value to its one form. Never rounds, cuts or guesses. @throws TYPE_MISMATCH */
  conform(value: unknown): unknown;
  /** A conforming value as Postgres prints it. */
  print(value: unknown): string;
}
