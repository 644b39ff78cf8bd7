import { baseType, changeKinds, isMillraceError, MillraceError } from '@millrace/core/runtime';
import {
  type OneChange as Change,
  keyAfter,
  keyOf,
  movesKey,
  shownKey,
  type TextValue,
  valuesAfter,
} from '../../postgres/apply/one-change.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { nullStamp, warned } from '../sink/copier.ts';
import { fieldOf } from '../sink/field.ts';
import type { LandingColumn } from '../sink/landing.ts';
import type { TargetTable } from './target-table.ts';

export type OneChange = Change<TargetTable, LandingColumn>;

/**
 * Applies changes one by one, as the source made them: what compacting them could not do (unique values that change places), and the way to
 * the one that a table refuses. @throws CHANGE_REFUSED that names it
 */
export async function applyInOrder(session: Session, changes: readonly OneChange[]): Promise<void> {
  for (const change of changes) {
    try {
      await applyOne(session, change);
    } catch (error) {
      throw isRowFault(error) ? refused(change, error) : error;
    }
  }
}

/** The row is at fault, not the statement, the server or the way to it. */
export function isRowFault(error: unknown): error is MillraceError {
  return isMillraceError(error) && ['TYPE_MISMATCH', 'VALUE_UNREPRESENTABLE', 'CHANGE_REFUSED', 'CHANGE_INCOMPLETE'].includes(error.code);
}

async function applyOne(session: Session, change: OneChange): Promise<void> {
  const { target, part, row } = change;
  const run = async (text: string): Promise<void> => {
    const { warnings } = await session.execute(text, target.shown);
    // A decimal with too many places is rounded, and only a note says so.
    if (warnings > 0) throw await warned(session, target.shown);
  };
  if (part.kinds[row] === changeKinds.delete) return run(`DELETE FROM ${target.quoted} WHERE ${same(keyOf(change))}`);
  const after = valuesAfter(change);
  for (const { column, text } of after) if (text === null && column.stamps) throw nullStamp(target.shown, column.name);
  const isWhole = after.length === change.columns.filter((column) => column !== null).length;
  const moves = part.kinds[row] === changeKinds.update && movesKey(change);
  const places = [...(part.kinds[row] === changeKinds.update ? [keyOf(change)] : []), ...(isWhole ? [keyAfter(change)] : [])];
  for (const [at, key] of places.entries()) {
    // The server counts rows that have changed: whether there is one at all is another question.
    const there = await session.query(`SELECT 1 AS one FROM ${target.quoted} WHERE ${same(key)} FOR UPDATE`, target.shown);
    if (there.length === 0) continue;
    const set = after.filter(({ column }) => (moves && at === 0) || !target.key.includes(column.name)).map(assigned);
    if (set.length > 0) await run(`UPDATE ${target.quoted} SET ${set.join(', ')} WHERE ${same(key)}`);
    return;
  }
  if (!isWhole) throw noRow(change);
  await run(
    `INSERT INTO ${target.quoted} (${after.map(({ column }) => column.quoted).join(', ')}) VALUES (${after.map(valueSql).join(', ')})`,
  );
}

const same = (values: readonly TextValue<LandingColumn>[]): string => values.map(compared).join(' AND ');

/** A `char` is compared without the blanks at its end, which the server does not keep, and which a collation may tell apart. */
const compared = ({ column, text }: TextValue<LandingColumn>): string =>
  assigned({ column, text: text !== null && column.target.dataType === 'char' ? text.replace(/ +$/, '') : text });
const assigned = (value: TextValue<LandingColumn>): string => `${value.column.quoted} = ${valueSql(value)}`;

const numbers = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'decimal']);

/** Numbers stand without quotes: the server compares a number with a text as floats. */
function valueSql({ column: { type, target, made }, text }: TextValue<LandingColumn>): string {
  if (text === null) return 'NULL';
  const field = fieldOf(baseType(type))(text);
  if (made !== null) return made.replace('@', () => literal(field));
  return numbers.has(target.dataType) && /^-?\d+(\.\d+)?$/.test(field) ? field : literal(field);
}

const noRow = (change: OneChange): MillraceError =>
  new MillraceError('CHANGE_REFUSED', {
    message: 'An update came without all its values, and the row that it changes is not there.',
    remedy: 'Copy the table again with "millrace resync".',
    facts: { table: change.target.shown },
  });

function refused(change: OneChange, error: MillraceError): MillraceError {
  const { target, transaction } = change;
  const key = shownKey(change);
  return new MillraceError('CHANGE_REFUSED', {
    message: `${target.shown} refuses the change of ${key} at ${transaction.commit}: ${error.message}`,
    remedy: 'Mend the table or its row, then start again: the stream goes on with this transaction.',
    facts: { ...error.facts, table: target.shown, key, position: transaction.commit },
    cause: error,
  });
}
