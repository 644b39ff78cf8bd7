import type { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { keyOf, kindName, type OneChange, type TextValue, valuesAfter, valuesBefore } from './one-change.ts';
import type { Hold } from './stream-state.ts';

/** Notes a change that its table refused, in the transaction that goes on without it. Every value is there, as text. */
export async function setAside(session: Session, { owner }: Pick<Hold, 'owner'>, change: OneChange, error: MillraceError): Promise<void> {
  const kind = kindName(change);
  const before = valuesBefore(change);
  const row = { ...(kind !== 'delete' && { after: record(valuesAfter(change)) }), ...(before && { before: record(before) }) };
  await session.query(
    `INSERT INTO _millrace.dead_letter (pipeline, step, table_name, kind, key, position, ordinal, row, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      owner.pipeline,
      owner.step,
      change.target.table,
      kind,
      change.target.key.length > 0 ? JSON.stringify(record(keyOf(change))) : null,
      change.transaction.commit,
      change.ordinal,
      JSON.stringify(row),
      error.message,
    ],
  );
}

const record = (values: readonly TextValue[]): Record<string, string | null> =>
  Object.fromEntries(values.map(({ column, text }) => [column.name, text]));
