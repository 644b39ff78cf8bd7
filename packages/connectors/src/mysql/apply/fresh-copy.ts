import {
  batchesOf,
  type Channel,
  MillraceError,
  type RowSchema,
  type Split,
  type StagedPart,
  type TableCopy,
} from '@millrace/core/runtime';
import { quoteIdentifier } from '../identifier.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { ownerHash } from '../sink/checkpoint.ts';
import { loadBatches } from '../sink/copy-in.ts';
import { keyTypes } from '../sink/key-type.ts';
import { landingOf } from '../sink/landing.ts';
import { ledger, transaction } from '../sink/ledger.ts';
import { holds } from '../sink/prepare-table.ts';
import { columnSql } from '../sink/sql-type.ts';
import type { Applying } from './apply-sink.ts';
import { passing } from './failpoints.ts';
import { changeTable, checkHold, keepHold, ofTable, recordCopied, tableState } from './stream-state.ts';
import { readAgain, type TargetTable } from './target-table.ts';

/** A first copy, straight into the table, which nobody relies on yet: splits side by side, each with its entry in the ledger. */
export async function freshCopy(applying: Applying, table: string): Promise<TableCopy> {
  const { lanes, hold, targets } = applying;
  const target = await lanes.use((session) => empty(applying, session, targetNamed(targets, table)));
  passing('mysql.apply.copy.begun');
  return {
    stage: (split, channel) => stageSplit(applying, target, split, channel),
    async apply() {
      throw new MillraceError('INTERNAL', { message: 'A first copy takes no changes.', remedy: 'Please report it.' });
    },
    async finish(position) {
      await lanes.use((session) =>
        transaction(session, async () => {
          await keepHold(session, hold);
          await recordCopied(session, hold, table, position);
          passing('mysql.apply.copy.finishing');
        }),
      );
      passing('mysql.apply.copy.finished');
      targets.set(table, (await lanes.use((session) => readAgain(session, target))) ?? target);
    },
    async [Symbol.asyncDispose]() {},
  };
}

export function targetNamed(targets: ReadonlyMap<string, TargetTable>, table: string): TargetTable {
  const target = targets.get(table);
  if (target) return target;
  throw new MillraceError('INTERNAL', { message: `The stream has no table "${table}".`, remedy: 'Please report it.' });
}

/** @throws TARGET_NOT_EMPTY for rows that did not come from this stream */
async function empty({ hold, stream }: Applying, session: Session, target: TargetTable): Promise<TargetTable> {
  const { table } = target;
  await checkHold(session, hold);
  const { begun } = await tableState(session, hold, table);
  const filled = (await session.query(`SELECT 1 AS one FROM ${target.quoted} LIMIT 1`, target.shown)).length > 0;
  if (filled && !begun) throw notEmpty(target);
  await transaction(session, async () => {
    await keepHold(session, hold);
    await session.execute(`DELETE FROM ${ledger('stream_split')} WHERE ${ofTable(hold, table)}`);
    await changeTable(session, hold, table, 'begun = TRUE, copied = NULL');
  });
  // From here on whoever comes next empties the table too.
  if (filled) await session.execute(`TRUNCATE TABLE ${target.quoted}`, target.shown);
  return begun ? fitted(session, target, stream.tables[table]!) : target;
}

/**
 * An empty table is made to take what the stream brings: the table may have changed at the source since it was made, in a way that only a
 * new copy could follow.
 */
export async function fitted(session: Session, target: TargetTable, schema: RowSchema): Promise<TargetTable> {
  const keys = keyTypes(schema);
  const parts = schema.columns.flatMap((column) => {
    const there = target.columns.get(column.name);
    const keyed = keys.get(column.name);
    const isKeyed = keyed !== undefined && 'sql' in keyed && keyed.sql === there?.sqlType;
    if (target.computed.has(column.name) || isKeyed || (there && holds(there, column.type))) return [];
    const sql = columnSql(quoteIdentifier(column.name), column.type, !target.key.includes(column.name), keyed);
    return [`${there ? 'MODIFY' : 'ADD'} COLUMN ${sql}`];
  });
  if (parts.length === 0) return target;
  await session.execute(`ALTER TABLE ${target.quoted} ${parts.join(', ')}`, target.shown);
  return (await readAgain(session, target)) ?? target;
}

const notEmpty = (target: TargetTable): MillraceError =>
  new MillraceError('TARGET_NOT_EMPTY', {
    message: `${target.shown} has rows that did not come from this stream.`,
    remedy: `Empty it if they are not needed: TRUNCATE ${target.quoted}; or name another table or database in apply().`,
    facts: { table: target.shown },
  });

/** The same split twice is copied once. */
export async function stageSplit(
  { lanes, hold, context }: Applying,
  into: TargetTable,
  split: Split,
  channel: Channel,
): Promise<StagedPart> {
  const { table } = into;
  const part = await lanes.use((session) =>
    transaction(session, async () => {
      await checkHold(session, hold);
      const [before] = await session.query(
        `SELECT rows_, bytes_ FROM ${ledger('stream_split')} WHERE ${ofTable(hold, table)} AND split = ${literal(split.id)}`,
      );
      if (before) {
        if (channel.format !== 'batches') channel.stream.destroy();
        return { split: split.id, rows: Number(before['rows_']), bytes: Number(before['bytes_']), detail: {} };
      }
      const landing = landingOf(channel.schema.columns, into.relation, new Set());
      const { rows, bytes } = await loadBatches(
        { landing, context, table: into.relation, files: null },
        session,
        into.quoted,
        batchesOf(channel),
        null,
      );
      passing('mysql.apply.copy.rows');
      const values = [ownerHash(hold.owner), table, split.id, rows, bytes];
      await session.execute(
        `INSERT INTO ${ledger('stream_split')} (owner, table_name, split, rows_, bytes_) VALUES (${values.map(literal).join(', ')})`,
      );
      await keepHold(session, hold);
      return { split: split.id, rows, bytes, detail: {} };
    }),
  );
  passing('mysql.apply.copy.split');
  return part;
}
