import { type Channel, MillraceError, type Position, type Split, type StagedPart, type TableCopy } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { showName } from '../identifier.ts';
import { expectEnd } from '../sink/copy-part.ts';
import { transaction } from '../sink/ledger.ts';
import type { Applying } from './apply-sink.ts';
import { copySplit } from './copy-split.ts';
import { passing } from './failpoints.ts';
import { fitEmptyTable } from './fit-empty-table.ts';
import { checkHold, holdTable, ofTable, tableState } from './stream-state.ts';
import { addKey, dropKey } from './table-key.ts';
import { readTarget, type TargetTable } from './target-table.ts';

/** A first copy, straight into the table, which nobody relies on yet: splits side by side, each with its entry in the ledger. */
export async function freshCopy(applying: Applying, table: string): Promise<TableCopy> {
  const { lanes, hold, targets, settings } = applying;
  const target = await lanes.use((session) => empty(applying, session, targetNamed(targets, table)));
  passing('postgres.apply.copy.begun');
  return {
    stage: (split, channel) => stageSplit(applying, { table, into: target, time: applying.context.now().toISOString() }, split, channel),
    async apply() {
      throw new MillraceError('INTERNAL', { message: 'A first copy takes no changes.', remedy: 'Please report it.' });
    },
    async finish(position) {
      await lanes.use((session) =>
        transaction(session, async () => {
          await holdTable(session, hold, table, 'UPDATE');
          if (settings.mode !== 'history' && (await tableState(session, hold, table)).made) await addKey(session, target);
          await recordCopied(session, applying, table, position);
          passing('postgres.apply.copy.finishing');
        }),
      );
      passing('postgres.apply.copy.finished');
      targets.set(table, (await lanes.use((session) => readTarget(session, table, showName(target.real), target.key))) ?? target);
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
async function empty(applying: Applying, session: Session, target: TargetTable): Promise<TargetTable> {
  const { hold, stream, settings } = applying;
  return transaction(session, async () => {
    await session.execute(`SET LOCAL lock_timeout = '60s'`);
    await holdTable(session, hold, target.table, 'UPDATE');
    const state = await tableState(session, hold, target.table);
    const [row] = await session.query(`SELECT EXISTS (SELECT FROM ${target.quoted}) AS filled`, [], target.shown);
    if (row?.['filled'] === 't') {
      if (!state.begun) throw notEmpty(target);
      await emptyTable(session, target);
    }
    const fitted = state.begun && (await fitEmptyTable(session, target, stream.tables[target.table]!));
    if (state.made && settings.mode !== 'history') await dropKey(session, target);
    await session.execute(`DELETE FROM _millrace.stream_split WHERE ${ofTable(hold, target.table)}`);
    await session.execute(`UPDATE _millrace.stream_table SET begun = true, copied = NULL WHERE ${ofTable(hold, target.table)}`);
    return fitted ? ((await readTarget(session, target.table, showName(target.real), target.key)) ?? target) : target;
  });
}

/** Rows of other tables may point here; those are copied anew or stay as they are, and nothing of them is to go. */
async function emptyTable(session: Session, target: TargetTable): Promise<void> {
  const [row] = await session.query(
    `SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = $1 AND conrelid <> $1) AS referred`,
    [target.real.oid],
  );
  await session.execute(row?.['referred'] === 't' ? `DELETE FROM ${target.quoted}` : `TRUNCATE ${target.quoted}`, [], target.shown);
}

const notEmpty = (target: TargetTable): MillraceError =>
  new MillraceError('TARGET_NOT_EMPTY', {
    message: `${target.shown} has rows that did not come from this stream.`,
    remedy: `Empty it if they are not needed: TRUNCATE ${target.quoted}; or name another table or schema in apply().`,
    facts: { table: target.shown },
  });

export interface SplitInto {
  readonly table: string;
  readonly into: TargetTable;
  /** From which copied versions of a history are valid. */
  readonly time: string;
}

/** The same split twice is copied once. */
export async function stageSplit(applying: Applying, to: SplitInto, split: Split, channel: Channel): Promise<StagedPart> {
  expectEnd(channel);
  const { lanes, hold } = applying;
  const part = await lanes.use((session) =>
    transaction(session, async () => {
      const [before] = await session.query(
        `SELECT rows, bytes FROM _millrace.stream_split WHERE ${ofTable(hold, to.table)} AND split = $1`,
        [split.id],
      );
      if (before) {
        if (channel.format !== 'batches') channel.stream.destroy();
        return { split: split.id, rows: Number(before['rows']), bytes: Number(before['bytes']), detail: {} };
      }
      await checkHold(session, hold);
      const { rows, bytes } = await copySplit(applying, session, to, channel);
      passing('postgres.apply.copy.rows');
      await holdTable(session, hold, to.table, 'SHARE');
      await session.query(
        'INSERT INTO _millrace.stream_split (pipeline, step, table_name, split, rows, bytes) VALUES ($1, $2, $3, $4, $5, $6)',
        [hold.owner.pipeline, hold.owner.step, to.table, split.id, rows, bytes],
      );
      return { split: split.id, rows, bytes, detail: {} };
    }),
  );
  passing('postgres.apply.copy.split');
  return part;
}

export async function recordCopied(session: Session, { hold }: Pick<Applying, 'hold'>, table: string, position: Position): Promise<void> {
  await session.execute(`DELETE FROM _millrace.stream_split WHERE ${ofTable(hold, table)}`);
  await session.query(`UPDATE _millrace.stream_table SET copied = $1, shadow = NULL WHERE ${ofTable(hold, table)}`, [position]);
}
