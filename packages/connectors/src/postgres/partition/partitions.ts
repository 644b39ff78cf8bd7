import { type Finding, MillraceError, type PartitionsTask } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { type QualifiedName, quoteName, showName } from '../identifier.ts';
import { lockAlone } from '../sink/ledger.ts';
import type { Doing } from '../task/doing.ts';
import { boundText } from './bound.ts';
import { decidePartitions, type NewPartition, tooMany } from './decide.ts';
import { partitionName } from './name.ts';
import { type ExistingPartition, findTable, type PartitionedTable } from './table.ts';

/** Any number will do, as long as every Millrace takes the same. */
const partitionLock = 7_262_114_017;

/**
 * Makes what is missing and sees to what is expired, in the transaction that notes it. Of two at once the second waits and finds the
 * first one's partitions. A partition is filled beside the table and attached, so that readers and writers of the table do not wait.
 *
 * @throws TABLE_MISSING, UNSUPPORTED, PARTITION_CONFLICT
 */
export async function keepPartitions(task: PartitionsTask, { session, context, tell }: Doing): Promise<(number | null)[]> {
  await session.execute(`SET LOCAL lock_timeout = '60s'`);
  await lockAlone(session, partitionLock);
  const { table, make, expired } = await look(task, { session, context });
  for (const one of make) await makePartition(table, one, session);
  if (make.length > 0) tell(`${task.table}: made ${listed(make.map(({ name }) => name))}`);
  for (const line of await seeTo(task, table, expired, session)) tell(line);
  return [];
}

export async function previewPartitions(task: PartitionsTask, { session, context }: Doing): Promise<Finding[]> {
  const { make, expired } = await look(task, { session, context });
  const fate = { tell: 'are expired and stay', detach: 'would be detached', drop: 'would be dropped' }[task.expired?.action ?? 'tell'];
  return [
    {
      subject: task.table,
      level: 'ok',
      message: make.length === 0 ? 'has all partitions it needs' : `would get ${listed(make.map(({ name }) => name))}`,
    },
    ...(expired.length === 0
      ? []
      : [{ subject: task.table, level: 'ok' as const, message: `${listed(expired.map(({ name }) => name))} ${fate}` }]),
  ];
}

interface Named extends NewPartition {
  readonly name: QualifiedName;
}

interface Look {
  readonly table: PartitionedTable;
  readonly make: readonly Named[];
  readonly expired: readonly ExistingPartition[];
}

async function look(task: PartitionsTask, { session, context }: Pick<Doing, 'session' | 'context'>): Promise<Look> {
  const table = await findTable(task.table, session);
  const [clock] = await session.query('SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now');
  const { window, logicalTime } = context.run;
  const run = window
    ? { from: Date.parse(window.start), to: Date.parse(window.end) }
    : { from: Date.parse(logicalTime), to: Date.parse(logicalTime) };
  const plan = decidePartitions(task, {
    now: Number(clock?.['now']),
    run,
    instants: table.type === 'timestamp with time zone',
    existing: table.partitions,
  });
  if (plan.make.length > tooMany) {
    throw new MillraceError('UNSUPPORTED', {
      message: `${task.table} would get more than ${tooMany} partitions at once.`,
      remedy: 'Run over a shorter window, or choose a longer period.',
    });
  }
  const make = plan.make.map((one) => ({ ...one, name: { schema: table.name.schema, name: partitionName(table.name.name, one.suffix) } }));
  await nameIsFree(make, session);
  await fallbackIsClear(table, make, session);
  return { table, make, expired: plan.expired };
}

async function nameIsFree(make: readonly Named[], session: Session): Promise<void> {
  for (const { name } of make) {
    const [row] = await session.query('SELECT to_regclass($1) IS NOT NULL AS taken', [quoteName(name)]);
    if (row?.['taken'] !== 't') continue;
    throw new MillraceError('PARTITION_CONFLICT', {
      message: `${session.place.label}: there is a ${showName(name)} already, and it is not the partition of that time.`,
      remedy: `Attach it again if it was detached, or rename it: ALTER TABLE ${quoteName(name)} RENAME TO …;`,
      facts: { name: showName(name) },
    });
  }
}

/** Postgres refuses a partition whose rows the default one holds: how many, and the way out, it does not say. */
async function fallbackIsClear(
  { name, fallback, column, type }: PartitionedTable,
  make: readonly Named[],
  session: Session,
): Promise<void> {
  if (fallback === null || make.length === 0) return;
  const within = make.map(({ from, to }) => `${column} >= ${boundText(from, type)} AND ${column} < ${boundText(to, type)}`);
  const [row] = await session.query(
    `SELECT count(*) AS rows, min(${column}) AS first, max(${column}) AS last FROM ${quoteName(fallback)} WHERE ${within.join(' OR ')}`,
    [],
    showName(fallback),
  );
  if (!row || row['rows'] === '0') return;
  const [shown, moved] = [quoteName(fallback), quoteName({ schema: fallback.schema, name: partitionName(fallback.name, 'moved') })];
  throw new MillraceError('PARTITION_CONFLICT', {
    message: `${session.place.label}: the default partition ${showName(fallback)} holds ${row['rows']} rows, from ${row['first']} to ${row['last']}, of partitions that are to be made.`,
    remedy: `Take them out and put them in again: CREATE TABLE ${moved} (LIKE ${shown}); WITH gone AS (DELETE FROM ${shown} WHERE ${column} >= '${row['first']}' RETURNING *) INSERT INTO ${moved} SELECT * FROM gone; run this step again; INSERT INTO ${quoteName(name)} OVERRIDING SYSTEM VALUE SELECT * FROM ${moved};`,
    facts: { partition: showName(fallback), rows: Number(row['rows']), first: row['first'], last: row['last'] },
  });
}

/** ATTACH lets everybody go on, where CREATE … PARTITION OF would lock the table. Indexes, keys and triggers come with it. */
async function makePartition(table: PartitionedTable, { name, from, to }: Named, session: Session): Promise<void> {
  const [parent, partition] = [quoteName(table.name), quoteName(name)];
  const compression = session.version >= 140_000 ? ' INCLUDING COMPRESSION' : '';
  await session.execute(
    `CREATE TABLE ${partition} (LIKE ${parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE${compression})`,
    [],
    showName(name),
  );
  if (table.replicaIdentityFull) await session.execute(`ALTER TABLE ${partition} REPLICA IDENTITY FULL`);
  await session.execute(
    `ALTER TABLE ${parent} ATTACH PARTITION ${partition} FOR VALUES FROM (${boundText(from, table.type)}) TO (${boundText(to, table.type)})`,
    [],
    showName(table.name),
  );
  if (!table.mine) await session.execute(`ALTER TABLE ${partition} OWNER TO ${table.owner}`, [], showName(name));
}

async function seeTo(
  { table: shown, expired: rule }: PartitionsTask,
  table: PartitionedTable,
  expired: readonly ExistingPartition[],
  session: Session,
): Promise<string[]> {
  const plain = expired.filter((one) => one.plain);
  const others = expired.filter((one) => !one.plain);
  const lines =
    others.length > 0
      ? [`${shown}: ${listed(others.map(({ name }) => name))} expired and left alone, for it is more than a plain table`]
      : [];
  if (plain.length === 0 || rule === null) return lines;
  for (const { name } of plain) {
    if (rule.action === 'detach')
      await session.execute(`ALTER TABLE ${quoteName(table.name)} DETACH PARTITION ${quoteName(name)}`, [], showName(name));
    if (rule.action === 'drop') await session.execute(`DROP TABLE ${quoteName(name)}`, [], showName(name));
  }
  const did = { tell: 'expired and still there', detach: 'detached', drop: 'dropped' }[rule.action];
  return [...lines, `${shown}: ${listed(plain.map(({ name }) => name))} ${did}`];
}

/** Names, as many as a person reads. */
function listed(names: readonly QualifiedName[]): string {
  const shown = names.map(showName);
  return shown.length <= 4 ? shown.join(', ') : `${shown.length} partitions, ${shown[0]} to ${shown.at(-1)}`;
}
