import { createHash, randomBytes } from 'node:crypto';
import type { ChangeGroup, Position, TableCopy } from '@millrace/core/runtime';
import { segmentsOf } from '../../postgres/apply/segments.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { ledger, prefix, transaction } from '../sink/ledger.ts';
import { dropped, exists, reasonsAgainst } from '../sink/swap.ts';
import type { Applying } from './apply-sink.ts';
import { passing } from './failpoints.ts';
import { fitted, stageSplit, targetNamed } from './fresh-copy.ts';
import { GroupWriter } from './group-writer.ts';
import { changeTable, checkHold, type Hold, keepHold, ofTable, recordCopied, tableState, tableStates } from './stream-state.ts';
import { readAgain, readTarget, type TargetTable } from './target-table.ts';

/*
 * Another copy of a table whose rows readers rely on: into a table beside it, its shadow, which takes its place. RENAME TABLE commits by
 * itself, so the take-over is announced first:
 *
 *   shadow ─▶ announced (position, name of the retired table) ─▶ RENAME target TO retired, shadow TO target ─▶ recorded ─▶ retired dropped
 *
 * Whether an announced one has happened is told by whether the shadow is still there under its name: `settleTakeOvers` drops it. If there
 * was something to drop, it has not happened and never will, also not by an attempt that wakes up late; if not, it has, and is recorded.
 */
export async function besideCopy(applying: Applying, table: string): Promise<TableCopy> {
  const { lanes, hold, targets, context } = applying;
  const target = targetNamed(targets, table);
  const shadow = await lanes.use((session) => makeShadow(applying, session, target));
  const shadows = new Map([[table, shadow]]);
  let finished = false;
  passing('mysql.apply.copy.begun');
  return {
    stage: (split, channel) => stageSplit(applying, shadow, split, channel),
    /** Nobody sees the shadow, and it does not outlive its attempt: a change of columns may commit what was written before it. */
    async apply(group: ChangeGroup) {
      await lanes.use(async (session) => {
        const writer = new GroupWriter({ ...applying, session, targets: shadows }, null);
        await writer.ready();
        await transaction(session, async () => {
          await writer.writeParts(segmentsOf(group.parts), group.transactions, true, {
            commit: async () => void (await session.execute('COMMIT')),
            begin: async () => {
              await writer.ready();
              await session.execute('START TRANSACTION');
            },
          });
          await keepHold(session, hold);
        });
      });
    },
    async finish(position: Position) {
      const now = shadows.get(table) ?? shadow;
      await lanes.use((session) => takeOver(applying, session, targetNamed(targets, table), now, position));
      finished = true;
      passing('mysql.apply.copy.finished');
      targets.set(table, (await lanes.use((session) => readAgain(session, { ...target, key: now.key }))) ?? target);
    },
    async [Symbol.asyncDispose]() {
      if (finished || context.signal.aborted) return; // whoever copies next throws it away
      await lanes.use((session) => dropShadow(applying, session, table)).catch(() => {});
    },
  };
}

const nameBeside = ({ owner }: Hold, { table, relation }: TargetTable, what: 'shadow' | 'retired') => ({
  database: relation.database,
  name: `${prefix}${what}_${createHash('sha256')
    .update(JSON.stringify([owner, table]))
    .digest('hex')
    .slice(0, 16)}_${randomBytes(6).toString('hex')}`,
});

async function makeShadow(applying: Applying, session: Session, target: TargetTable): Promise<TargetTable> {
  const { hold, stream } = applying;
  const { table } = target;
  await dropShadow(applying, session, table);
  const name = nameBeside(hold, target, 'shadow');
  await transaction(session, async () => {
    await changeTable(session, hold, table, `shadow = ${literal(quoteName(name))}, takes_over_at = NULL`);
    await session.execute(`DELETE FROM ${ledger('stream_split')} WHERE ${ofTable(hold, table)}`);
    await keepHold(session, hold);
  });
  await session.execute(`CREATE TABLE ${quoteName(name)} LIKE ${target.quoted}`, target.shown);
  const made = (await readTarget(session, table, name, target.key)) as TargetTable;
  return fitted(session, made, stream.tables[table]!);
}

/** What an attempt that died has left, or this one. */
async function dropShadow({ hold }: Applying, session: Session, table: string): Promise<void> {
  const { shadow } = await tableState(session, hold, table);
  if (shadow === null) return;
  await checkHold(session, hold);
  await session.execute(`DROP TABLE IF EXISTS ${shadow}`);
  await transaction(session, async () => {
    await changeTable(session, hold, table, 'shadow = NULL, takes_over_at = NULL');
    await keepHold(session, hold);
  });
}

/** One in the place of the other, or, where something hangs on the table itself, the rows of one in the other. */
async function takeOver(
  { hold, context }: Applying,
  session: Session,
  target: TargetTable,
  shadow: TargetTable,
  position: Position,
): Promise<void> {
  const { table } = target;
  const reasons = await reasonsAgainst(session, { table: target.relation });
  if (reasons.length > 0) {
    context.log.info(`${target.shown} is emptied and filled again rather than swapped: ${reasons.join('; ')}.`);
    const columns = [...shadow.columns.keys()].map(quoteIdentifier).join(', ');
    await transaction(session, async () => {
      await session.execute(`DELETE FROM ${target.quoted}`, target.shown);
      await session.execute(`INSERT INTO ${target.quoted} (${columns}) SELECT ${columns} FROM ${shadow.quoted}`, target.shown);
      await recordCopied(session, hold, table, position);
      await keepHold(session, hold);
      passing('mysql.apply.copy.finishing');
    });
    await session.execute(`DROP TABLE IF EXISTS ${shadow.quoted}`);
    return;
  }
  const retired = quoteName(nameBeside(hold, target, 'retired'));
  await transaction(session, async () => {
    await changeTable(session, hold, table, `retired = ${literal(retired)}, takes_over_at = ${literal(position)}`);
    await keepHold(session, hold);
    passing('mysql.apply.copy.finishing');
  });
  passing('mysql.apply.copy.announced');
  await session.execute(`RENAME TABLE ${target.quoted} TO ${retired}, ${shadow.quoted} TO ${target.quoted}`, target.shown);
  passing('mysql.apply.copy.swapped');
  await record(session, hold, table, position, retired);
}

async function record(session: Session, hold: Hold, table: string, position: Position, retired: string): Promise<void> {
  await transaction(session, async () => {
    await recordCopied(session, hold, table, position);
    await keepHold(session, hold);
  });
  await dropRetired(session, hold, table, retired);
}

async function dropRetired(session: Session, hold: Hold, table: string, retired: string): Promise<void> {
  await session.execute(`DROP TABLE IF EXISTS ${retired}`);
  await changeTable(session, hold, table, 'retired = NULL');
}

/** Brings what earlier attempts have announced to its end, whichever that is. Before anybody asks which tables are copied. */
export async function settleTakeOvers(session: Session, hold: Hold): Promise<void> {
  for (const { name, target, shadow, retired, takesOverAt } of await tableStates(session, hold)) {
    if (shadow !== null && retired !== null && takesOverAt !== null) {
      const quoted = await whole(session, target);
      // A server without atomic DDL may have died between the two renames.
      if (!(await exists(session, quoted)) && (await exists(session, retired)))
        await session.execute(`RENAME TABLE ${retired} TO ${quoted}`);
      if (!(await dropped(session, shadow))) {
        await record(session, hold, name, takesOverAt, retired);
        continue;
      }
      await transaction(session, async () => {
        await changeTable(session, hold, name, 'shadow = NULL, retired = NULL, takes_over_at = NULL');
        await keepHold(session, hold);
      });
    } else if (retired !== null) await dropRetired(session, hold, name, retired);
  }
}

/** With its database, as the ledger looks for it. */
async function whole(session: Session, quoted: string): Promise<string> {
  return quoted.includes('`.`') ? quoted : `${quoteIdentifier(session.place.database)}.${quoted}`;
}
