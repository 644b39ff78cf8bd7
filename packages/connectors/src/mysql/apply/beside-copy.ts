import { createHash, randomBytes } from 'node:crypto';
import { type ChangeGroup, fidelity, MillraceError, type Position, type TableCopy } from '@millrace/core/runtime';
import { segmentsOf } from '../../postgres/apply/segments.ts';
import type { CatalogColumn } from '../catalog.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import { warned } from '../sink/copier.ts';
import { definitionOf } from '../sink/landing.ts';
import { ledger, prefix, transaction } from '../sink/ledger.ts';
import { bends } from '../sink/prepare-table.ts';
import { hasSwapped, reasonsAgainst } from '../sink/swap.ts';
import type { Applying } from './apply-sink.ts';
import { passing } from './failpoints.ts';
import { fitted, stageSplit, targetNamed } from './fresh-copy.ts';
import { GroupWriter } from './group-writer.ts';
import { changeTable, checkHold, type Hold, keepHold, ofTable, recordCopied, tableState } from './stream-state.ts';
import { readAgain, readTarget, type TargetTable } from './target-table.ts';

/*
 * Another copy of a table whose rows readers rely on: into a table beside it, its shadow, which takes its place. RENAME TABLE commits by
 * itself, so the take-over is announced first:
 *
 *   shadow ─▶ announced (position, name of the retired table) ─▶ RENAME target TO retired, shadow TO target ─▶ recorded ─▶ retired dropped
 *
 * Whether an announced one has happened is told by the retired table, which only the RENAME makes and which stays until it was recorded.
 * `settle` looks for it, and drops the shadow where there is none, so that it never happens, also not by an attempt that wakes up late.
 */
export async function besideCopy(applying: Applying, table: string): Promise<TableCopy> {
  const { lanes, hold, targets, context } = applying;
  const { target, shadow } = await lanes.use((session) => makeShadow(applying, session, table));
  const shadows = new Map([[table, shadow]]);
  let takesOver = false;
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
      takesOver = true;
      await lanes.use((session) => takeOver(applying, session, targetNamed(targets, table), now, position));
      passing('mysql.apply.copy.finished');
      targets.set(table, (await lanes.use((session) => readAgain(session, { ...target, key: now.key }))) ?? target);
    },
    async [Symbol.asyncDispose]() {
      // Whoever copies next throws it away, or goes on with what was announced.
      if (takesOver || context.signal.aborted) return;
      await lanes.use((session) => settle(session, hold, table)).catch(() => {});
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

async function makeShadow(
  { hold, targets, stream }: Applying,
  session: Session,
  table: string,
): Promise<{ readonly target: TargetTable; readonly shadow: TargetTable }> {
  await settle(session, hold, table);
  const before = targetNamed(targets, table);
  const target = (await readAgain(session, before)) ?? before;
  targets.set(table, target);
  const name = nameBeside(hold, target, 'shadow');
  await transaction(session, async () => {
    await changeTable(session, hold, table, `shadow = ${literal(quoteName(name))}`);
    await session.execute(`DELETE FROM ${ledger('stream_split')} WHERE ${ofTable(hold, table)}`);
    await keepHold(session, hold);
  });
  await session.execute(`CREATE TABLE ${quoteName(name)} LIKE ${target.quoted}`, target.shown);
  const made = (await readTarget(session, table, name, target.key)) as TargetTable;
  return { target, shadow: await fitted(session, made, stream.tables[table]!) };
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
    await checkHold(session, hold);
    await widen(session, target, shadow);
    const columns = [...shadow.columns.keys()].map(quoteIdentifier).join(', ');
    await transaction(session, async () => {
      await session.execute(`DELETE FROM ${target.quoted}`, target.shown);
      const { warnings } = await session.execute(
        `INSERT INTO ${target.quoted} (${columns}) SELECT ${columns} FROM ${shadow.quoted}`,
        target.shown,
      );
      if (warnings > 0) throw await warned(session, target.shown);
      await recordCopied(session, hold, table, position);
      await changeTable(session, hold, table, `retired = ${literal(shadow.quoted)}`);
      await keepHold(session, hold);
      passing('mysql.apply.copy.finishing');
    });
    await dropRetired(session, hold, table, shadow.quoted);
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

/**
 * The table that is about to be filled gets the columns and the types of the one that it is filled from, as far as that takes nothing away
 * from the rows which are there until then. @throws SCHEMA_DRIFT
 */
async function widen(session: Session, before: TargetTable, shadow: TargetTable): Promise<void> {
  const target = (await readAgain(session, before)) ?? before;
  const parts: string[] = [];
  for (const column of shadow.columns.values()) {
    const there = target.columns.get(column.name);
    const name = quoteIdentifier(column.name);
    if (!there) parts.push(`ADD COLUMN ${name} ${definitionOf(column)} NULL`);
    else if (there.sqlType !== column.sqlType && !takes(there, column)) {
      if (fidelity(there.type, column.type) === 'lossy') {
        throw new MillraceError('SCHEMA_DRIFT', {
          message: `"${column.name}" of ${target.shown} is ${there.sqlType}, and the new copy of the table has ${column.sqlType} there.`,
          remedy: `Change the column by hand: ALTER TABLE ${target.quoted} MODIFY COLUMN ${name} ${definitionOf(column)}; then start again.`,
          facts: { table: target.shown, column: column.name },
        });
      }
      parts.push(`MODIFY COLUMN ${name} ${definitionOf(column)} ${there.notNull ? 'NOT NULL' : 'NULL'}`);
    }
  }
  if (parts.length > 0) await session.execute(`ALTER TABLE ${target.quoted} ${parts.join(', ')}`, target.shown);
}

/** Without a change of a value: a clock of more decimals would be cut without a word, and digits of a number with a note. */
const takes = (there: CatalogColumn, column: CatalogColumn): boolean => !bends(there) && fidelity(column.type, there.type) !== 'lossy';

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

/** Brings what was announced to its end, whichever that is, and throws away what stands beside a table. */
export async function settle(session: Session, hold: Hold, table: string): Promise<void> {
  const { target, shadow, retired, takesOverAt } = await tableState(session, hold, table);
  await checkHold(session, hold);
  if (shadow !== null && retired !== null && takesOverAt !== null) {
    const quoted = target.includes('`.`') ? target : `${quoteIdentifier(session.place.database)}.${target}`;
    if (await hasSwapped(session, { target: quoted, retired, beside: shadow })) return record(session, hold, table, takesOverAt, retired);
  } else if (shadow !== null) await session.execute(`DROP TABLE IF EXISTS ${shadow}`);
  if (retired !== null) await session.execute(`DROP TABLE IF EXISTS ${retired}`);
  if (shadow === null && retired === null) return;
  passing('mysql.apply.copy.withdrawn');
  await transaction(session, async () => {
    await changeTable(session, hold, table, 'shadow = NULL, retired = NULL, takes_over_at = NULL');
    await keepHold(session, hold);
  });
}
