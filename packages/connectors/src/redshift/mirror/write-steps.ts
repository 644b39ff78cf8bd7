import { type ColumnChange, type Context, MillraceError, type RowSchema, type SchemaChange, type SinkStream } from '@millrace/core/runtime';
import { standing } from '../../changes/standing.ts';
import type { Session } from '../../postgres/client.ts';
import { literal } from '../../postgres/literal.ts';
import { signature } from '../../s3/changelog/change-spool.ts';
import { quote } from '../name.ts';
import { passing } from './failpoints.ts';
import type { MirrorTable, MirrorWarehouse } from './mirror-warehouse.ts';
import {
  changeStatements,
  copyStatements,
  moveStatements,
  type RoundStatements,
  truncateStatement,
  type Writing,
} from './round-statements.ts';
import type { Round, Step } from './rounds.ts';
import { type Columns, fillStatements, type Names, schemaStatements } from './schema-statements.ts';
import type { MirrorSettings } from './settings.ts';
import { stagedColumns } from './staged-rows.ts';
import type { MirrorArea, StagedFile } from './staging-area.ts';

export interface WriteWork {
  readonly session: Session;
  readonly warehouse: MirrorWarehouse;
  readonly settings: MirrorSettings;
  readonly context: Context;
  readonly area: MirrorArea;
  readonly stream: Pick<SinkStream, 'policy' | 'tables'>;
  readonly tableOf: (name: string) => MirrorTable;
}

/** Staged files in temporary tables of the transaction, each when the first round asks for it. */
interface Landed {
  readonly name: string;
  readonly schema: RowSchema;
  readonly values: ReadonlyMap<string, string>;
}

/**
 * Applies the steps in their order, within the transaction. `isAhead`: the table has been changed at its place in the stream already, and
 * the steps come to it, a copy's, from before.
 */
export async function writeSteps(work: WriteWork, steps: readonly Step[], files: readonly StagedFile[], isAhead = false): Promise<void> {
  const landed = new Map<string, Landed>();
  for (const [at, step] of steps.entries()) {
    work.context.signal.throwIfAborted();
    if (step.kind === 'round') {
      const name = `${step.table} ${step.staged}`;
      const rows = landed.get(name) ?? (await landFiles(work, step, files, landed.size));
      landed.set(name, rows);
      await writeRound(work, step, rows, isAhead ? laterNames(changesOf(steps.slice(at + 1), step.table)) : asTheyAre, at);
    } else if (step.kind === 'truncate') {
      const { quoted } = work.tableOf(step.table);
      await work.session.execute(truncateStatement(quoted, work.settings.mode, literal(step.at)), [], quoted);
    } else {
      const { table, changes } = step.change;
      const { quoted } = work.tableOf(table);
      for (const [place, change] of changes.entries()) {
        const there = await columnsThere(work, table);
        const later = laterNames([...changes.slice(place + 1), ...changesOf(steps.slice(at + 1), table)]);
        const { policy } = work.stream;
        const statements = isAhead
          ? fillStatements(change, quoted, there, later, policy, work.warehouse.columns)
          : isToDo(work, step.change, place, there)
            ? schemaStatements(change, quoted, there, policy, work.warehouse.columns)
            : [];
        for (const statement of statements) await work.session.execute(statement, [], quoted);
      }
    }
  }
  for (let place = 0; place < landed.size; place++) await work.session.execute(`DROP TABLE ${quote(temporaryName(place))}`);
  passing('redshift.apply.written');
}

/** @throws SCHEMA_CHANGED where nobody can tell whether the table has had the change */
function isToDo(work: WriteWork, told: SchemaChange, place: number, there: Columns): boolean {
  const { table } = told;
  const { columns } = work.warehouse;
  const stands = standing(
    told,
    place,
    { has: (name) => there.has(name), isOf: (name, column) => there.get(name) === columns.type(column) },
    work.stream.tables[table]?.columns ?? [],
  );
  if (stands === 'todo' || stands === 'done') return stands === 'todo';
  throw new MillraceError('SCHEMA_CHANGED', {
    message: `The table "${table}" ${stands.unclear} at the source; ${work.tableOf(table).quoted} has not been changed.`,
    remedy: `Copy the table again: millrace resync <pipeline> --table ${table}`,
    facts: { table },
  });
}

/** Puts the rows of a copy in the place of what is there, and then applies what came after it. */
export async function writeCopy(
  work: WriteWork,
  table: string,
  key: readonly string[],
  copy: { readonly files: readonly StagedFile[]; readonly schema: RowSchema },
  later: { readonly files: readonly StagedFile[]; readonly steps: readonly Step[] },
): Promise<void> {
  const { quoted } = work.tableOf(table);
  const time = literal(work.context.now().toISOString());
  if (copy.files.length === 0) {
    await work.session.execute(truncateStatement(quoted, work.settings.mode, time), [], quoted);
  } else {
    const landed = await land(work, table, copy.files, copy.schema, '__millrace_copy');
    const writing = await writingOf(work, table, key, landed, laterNames(changesOf(later.steps, table)));
    for (const statement of copyStatements(writing, time)) await work.session.execute(statement, [], quoted);
    await work.session.execute(`DROP TABLE ${quote('__millrace_copy')}`);
  }
  await writeSteps(work, later.steps, later.files, true);
}

const asTheyAre: Names = (column) => column;

const changesOf = (steps: readonly Step[], table: string): readonly ColumnChange[] =>
  steps.flatMap((step) => (step.kind === 'schema' && step.change.table === table ? step.change.changes : []));

/** What a column is called after these changes. */
function laterNames(changes: readonly ColumnChange[]): Names {
  return (column) =>
    changes.reduce<string | null>((name, change) => {
      if (change.change === 'rename' && change.from === name) return change.to;
      return change.change === 'drop' && change.name === name ? null : name;
    }, column);
}

const temporaryName = (place: number): string => `__millrace_staged_${place}`;

function landFiles(work: WriteWork, round: Round, files: readonly StagedFile[], at: number): Promise<Landed> {
  const own = files.filter(({ table, schema }) => table === round.table && signature(rowsOf(schema)) === round.staged);
  const [first] = own;
  if (!first) throw new MillraceError('INTERNAL', { message: `No rows are staged for "${round.table}".`, remedy: 'Please report it.' });
  return land(work, round.table, own, first.schema, temporaryName(at));
}

async function land(work: WriteWork, name: string, files: readonly StagedFile[], schema: RowSchema, temporary: string): Promise<Landed> {
  const { session, warehouse, settings, context, area, tableOf } = work;
  const { rows, values } = await warehouse.land({ session, context, settings, area, table: tableOf(name), files, schema, name: temporary });
  passing('redshift.apply.landed');
  const expected = files.reduce((sum, file) => sum + file.rows, 0);
  if (rows === expected) return { name: temporary, schema, values };
  throw new MillraceError('MANIFEST_MISMATCH', {
    message: `${rows} rows of "${name}" came into the warehouse, and ${expected} were staged at ${area.storage.url}.`,
    remedy: 'Look at SYS_LOAD_ERROR_DETAIL in the warehouse, and for somebody who changes the staged files.',
    facts: { table: name, staged: expected, loaded: rows },
  });
}

async function columnsThere(work: WriteWork, table: string): Promise<ReadonlyMap<string, string>> {
  const target = work.tableOf(table);
  const there = await work.warehouse.columnsOf(work.session, target);
  if (there) return there;
  throw new MillraceError('TABLE_MISSING', {
    message: `There is no table ${target.quoted} any more.`,
    remedy: 'Look for somebody who drops it, and copy it again with "millrace resync".',
    facts: { table: target.quoted },
  });
}

const isOwn = (name: string): boolean => stagedColumns.some((own) => own.name === name);
const rowsOf = (schema: RowSchema): RowSchema => ({ columns: schema.columns.filter(({ name }) => !isOwn(name)) });

async function writingOf(
  work: WriteWork,
  table: string,
  key: readonly string[],
  { name, schema, values }: Landed,
  later: Names,
): Promise<Writing> {
  const there = await columnsThere(work, table);
  const target = work.tableOf(table);
  const rows = rowsOf(schema).columns.map((column) => ({ from: column.name, to: later(column.name) }));
  const written = rows.flatMap(({ from, to }) => (to !== null && there.has(to) ? [{ from, to }] : []));
  const left = rows.filter(({ to }) => to !== null && !there.has(to)).map(({ from }) => from);
  if (left.length > 0 && work.stream.policy.add !== 'ignore') {
    throw new MillraceError('SCHEMA_DRIFT', {
      message: `Rows come with ${left.map((column) => `"${column}"`).join(', ')}, which ${target.quoted} does not have.`,
      remedy: 'Add the columns by hand, or copy the table again with "millrace resync".',
      facts: { table: target.quoted, columns: left },
    });
  }
  const own = schema.columns.filter((column) => isOwn(column.name)).map((column) => quote(column.name));
  // What the table calls otherwise has been landed as it came.
  const value = (from: string, to: string): string => values.get(from) ?? `CAST(${quote(from)} AS ${there.get(to)})`;
  const list = [...own, ...written.map(({ from, to }) => `${value(from, to)} AS ${quote(to)}`)];
  return {
    table: target.quoted,
    landed: `(SELECT ${list.join(', ')} FROM ${quote(name)})`,
    columns: written.map(({ to }) => to),
    stagedColumns: rows.map(({ to }) => to ?? ''),
    key: key.map((column) => later(column) ?? column),
    mode: work.settings.mode,
  };
}

async function writeRound(work: WriteWork, round: Round, landed: Landed, later: Names, id: number): Promise<void> {
  const writing = await writingOf(work, round.table, round.key, landed, later);
  const named = (columns: ReadonlySet<string>) => new Set([...columns].flatMap((column) => later(column) ?? []));
  const of = { ...round, unknown: named(round.unknown), unknownOfMoves: named(round.unknownOfMoves) };
  if (round.hasChanges) await run(work, round.table, changeStatements(of, id, writing));
  if (round.hasMoves) await run(work, round.table, moveStatements(of, id, writing));
}

async function run({ session, tableOf }: WriteWork, table: string, statements: RoundStatements): Promise<void> {
  const { quoted } = tableOf(table);
  for (const statement of statements.before) await session.execute(statement, [], quoted);
  if (statements.missing !== null) {
    const [row] = await session.query(statements.missing);
    if (row?.['missing'] !== '0') {
      throw new MillraceError('CHANGE_REFUSED', {
        message: `${row?.['missing']} rows of "${table}" were changed that ${quoted} does not have, and the source did not send their large values, which it did not change.`,
        remedy: `Look for somebody who deletes from ${quoted}; then copy it again: millrace resync <pipeline> --table ${table}`,
        facts: { table: quoted, rows: Number(row?.['missing']) },
      });
    }
  }
  for (const statement of statements.after) await session.execute(statement, [], quoted);
  for (const temporary of statements.temporary) await session.execute(`DROP TABLE ${temporary}`);
}
