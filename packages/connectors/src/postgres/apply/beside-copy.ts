import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChangeGroup, Position, TableCopy } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier, showName } from '../identifier.ts';
import { type Beside, buildBeside, type Made, makeIndexes, swapIn } from '../sink/build-beside.ts';
import { dependentsOf } from '../sink/dependents.ts';
import { landingOf } from '../sink/landing.ts';
import { transaction } from '../sink/ledger.ts';
import { refill } from '../sink/refill.ts';
import type { Applying } from './apply-sink.ts';
import { passing } from './failpoints.ts';
import { fitEmptyTable } from './fit-empty-table.ts';
import { recordCopied, stageSplit, targetNamed } from './fresh-copy.ts';
import { GroupWriter } from './group-writer.ts';
import { modes } from './modes.ts';
import { segmentsOf } from './segments.ts';
import { extraColumns } from './settings.ts';
import { checkHold, holdTable, ofTable, tableState } from './stream-state.ts';
import { takeIn } from './take-in.ts';
import { readTarget, type TargetTable } from './target-table.ts';

/** The table as it will be, while everybody still sees the one that is there. */
interface Shadow {
  readonly beside: Beside;
  readonly target: TargetTable;
}

/** Another copy of a table whose rows readers rely on: into a table beside it, which takes its place in one transaction. */
export async function besideCopy(applying: Applying, table: string): Promise<TableCopy> {
  const { lanes, hold, targets, settings, context } = applying;
  const target = targetNamed(targets, table);
  const shadow = await lanes.use((session) => makeShadow(applying, session, target));
  const shadows = new Map([[table, shadow.target]]);
  let made: readonly Made[] | null = null;
  let finished = false;
  passing('postgres.apply.copy.begun');

  /** Foreign keys come at the end, when the other tables are where this one is. */
  const index = async (): Promise<readonly Made[]> => {
    made ??= await lanes.use((session) =>
      transaction(session, async () => {
        await checkHold(session, hold);
        if (settings.mode === 'mirror')
          return makeIndexes(session, shadow.beside, ({ definition }) => !definition.startsWith('FOREIGN KEY'));
        const key = target.key.map((name) => quoteIdentifier(name)).join(', ');
        await session.execute(`ALTER TABLE ${shadow.target.quoted} ADD PRIMARY KEY (${key})`);
        return [];
      }),
    );
    const now = await lanes.use((session) => readTarget(session, table, showName(shadow.target.real), target.key));
    if (now) shadows.set(table, now);
    passing('postgres.apply.copy.indexed');
    return made;
  };

  return {
    stage: (split, channel) => stageSplit(applying, { table, into: shadow.target, time: '' }, split, channel),
    async apply(group: ChangeGroup) {
      if (made === null) await index();
      await lanes.use((session) =>
        transaction(session, async () => {
          const writer = new GroupWriter({ ...applying, session, mode: modes.mirror, targets: shadows });
          await writer.writeParts(segmentsOf(group.parts), group.transactions, true);
          await checkHold(session, hold);
        }),
      );
    },
    async finish(position: Position) {
      const early = made ?? (await index());
      const pause = async (ms: number): Promise<void> => void (await sleep(ms, undefined, { signal: context.signal }));
      await lanes.use((session) =>
        transaction(session, async () => {
          for (const way of ['seqscan', 'hashjoin', 'mergejoin']) await session.execute(`SET LOCAL enable_${way} = on`);
          await holdTable(session, hold, table, 'UPDATE');
          const own = shadows.get(table) as TargetTable;
          if (settings.mode === 'mirror') await takeOver(session, targetNamed(targets, table), { ...shadow, target: own }, early, pause);
          else await takeIn(session, settings.mode, targetNamed(targets, table), own, position, context.now().toISOString());
          await session.execute(`DROP TABLE IF EXISTS ${shadow.target.quoted}`);
          await recordCopied(session, applying, table, position);
          passing('postgres.apply.copy.finishing');
        }),
      );
      finished = true;
      passing('postgres.apply.copy.finished');
      const name = showName(target.real);
      targets.set(table, (await lanes.use((session) => readTarget(session, table, name, target.key))) ?? target);
    },
    async [Symbol.asyncDispose]() {
      if (finished || context.signal.aborted) return; // whoever copies next throws it away
      await lanes.use((session) => dropShadow(applying, session, table)).catch(() => {});
    },
  };
}

async function makeShadow(applying: Applying, session: Session, target: TargetTable): Promise<Shadow> {
  const { hold, settings, stream } = applying;
  const { table } = target;
  await dropShadow(applying, session, table);
  return transaction(session, async () => {
    await holdTable(session, hold, table, 'UPDATE');
    const beside = await buildBeside(session, target.real, randomUUID());
    for (const name of extraColumns[settings.mode])
      await session.execute(`ALTER TABLE ${beside.quoted} DROP COLUMN ${quoteIdentifier(name)}`);
    const name = showName({ schema: target.real.schema, name: beside.name });
    const first = (await readTarget(session, table, name, target.key)) as TargetTable;
    const fitted = await fitEmptyTable(session, first, stream.tables[table]!);
    await session.execute(`DELETE FROM _millrace.stream_split WHERE ${ofTable(hold, table)}`);
    await session.query(`UPDATE _millrace.stream_table SET shadow = $1 WHERE ${ofTable(hold, table)}`, [beside.quoted]);
    return { beside, target: fitted ? ((await readTarget(session, table, name, target.key)) as TargetTable) : first };
  });
}

/** What an attempt that died has left, or this one. */
async function dropShadow({ hold }: Applying, session: Session, table: string): Promise<void> {
  await transaction(session, async () => {
    await holdTable(session, hold, table, 'UPDATE');
    const { shadow } = await tableState(session, hold, table);
    if (shadow === null) return;
    await session.execute(`DROP TABLE IF EXISTS ${shadow}`);
    await session.execute(`UPDATE _millrace.stream_table SET shadow = NULL WHERE ${ofTable(hold, table)}`);
    await session.execute(`DELETE FROM _millrace.stream_split WHERE ${ofTable(hold, table)}`);
  });
}

/** One in the place of the other, or, where something hangs on the table itself, the rows of one in the other. */
async function takeOver(
  session: Session,
  target: TargetTable,
  { beside, target: shadow }: Shadow,
  made: readonly Made[],
  pause: (ms: number) => Promise<void>,
): Promise<void> {
  const dependents = await dependentsOf(session, target.real.oid);
  if (dependents.reasons.length === 0) {
    await swapIn(session, { ...beside, table: target.real }, pause, made);
    return;
  }
  const columns = shadow.real.columns.filter(({ generated }) => !generated);
  const landing = landingOf(
    columns.map(({ name, type, notNull }) => ({ name, type, nullable: !notNull })),
    target.real,
  );
  const rows = { tables: [shadow.quoted], from: shadow.quoted, landing, newestFirst: '1' };
  const [count] = await session.query(`SELECT count(*) AS n FROM ${shadow.quoted}`);
  const writing = {
    session,
    table: target.real,
    target: target.quoted,
    mode: 'replace' as const,
    key: target.key,
    history: null,
    closeMissing: false,
    time: '',
  };
  await refill(writing, rows, Number(count?.['n']), dependents, pause);
}
