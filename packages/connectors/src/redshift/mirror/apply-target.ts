import {
  type ChangeTarget,
  type Connection,
  describeSetting,
  type RowSchema,
  type Selection,
  type Setting,
  type StreamTables,
  type TargetProblem,
} from '@millrace/core/runtime';
import type { SessionSettings } from '../../postgres/client.ts';
import { rollOf } from '../../s3/changelog/roll.ts';
import { placeOf } from '../../s3/connection.ts';
import { isDecimal } from '../column-type.ts';
import { createStatements } from '../create.ts';
import { quoteTable } from '../name.ts';
import { MirrorSink } from './mirror-sink.ts';
import { type ApplyOptions, deletedAt, type MirrorSettings, targetName, targetTable } from './settings.ts';
import { staged } from './staged-rows.ts';

export interface ApplyHome {
  readonly connection: SessionSettings;
  readonly copyRole: Setting | null;
  readonly region: string | null;
  readonly label: string;
  readonly self: Connection;
  readonly stored: (name: string, input: RowSchema, current: string | null) => Selection;
}

/** Tables of a warehouse that follow a capture. */
export function applyTarget(home: ApplyHome, options: ApplyOptions): ChangeTarget<unknown> {
  const { connection, copyRole, region } = home;
  const settings: MirrorSettings = {
    connection,
    copyRole,
    region,
    staging: placeOf(options.staging),
    prefix: options.prefix ?? '_millrace/staging/',
    schema: options.schema ?? null,
    names: Object.fromEntries(
      Object.entries(options.tables ?? {}).flatMap(([table, { name }]) => (name === undefined ? [] : [[table, name]])),
    ),
    mode: options.mode ?? 'mirror',
    roll: rollOf(options.roll, { every: '1m', size: '64MB' }),
    create: options.create ?? true,
  };
  const { mode, roll, staging, prefix, create, schema } = settings;
  return Object.freeze({
    kind: 'change-target',
    description: {
      connector: 'redshift',
      object: schema ?? 'tables',
      connection: home.label,
      mode,
      guarantee: 'exactly-once',
      options: {
        staging: describeSetting(staging.url),
        prefix,
        roll: { ...roll },
        create,
        ...(options.tables && { tables: settings.names }),
      },
    },
    connection: home.self,
    accepts: ['csv', 'batches'],
    problems: (tables) => problems(settings, tables),
    ddl: (tables) =>
      create
        ? Object.entries(tables).flatMap(([table, rows]) =>
            createStatements(targetTable(settings, quoteTable(targetName(settings, table, rows)), rows), null),
          )
        : [],
    open: async (context) => new MirrorSink(settings, context),
    stored: (table, input) =>
      home.stored(quoteTable(targetName(settings, table, input)), input, mode === 'soft-delete' ? `"${deletedAt}" IS NULL` : null),
  } satisfies ChangeTarget<unknown>);
}

/** What no Redshift could hold as it is declared; a laptop's Postgres could, and must not hide it. */
function problems(settings: MirrorSettings, tables: StreamTables): TargetProblem[] {
  const own = new Set<string>([...Object.values(staged), ...(settings.mode === 'soft-delete' ? [deletedAt] : [])]);
  const names = new Map<string, string>();
  return Object.entries(tables).flatMap(([table, rows]): TargetProblem[] => {
    const found: TargetProblem[] = [];
    if ((rows.key ?? []).length === 0)
      found.push({ message: `"${table}" has no key, by which changes find their rows.`, remedy: 'Give its table() declaration a key.' });
    for (const { name, type } of rows.columns) {
      if (own.has(name))
        found.push({ message: `"${name}" of "${table}" is a column that Millrace keeps.`, remedy: 'Give it another name with rename().' });
      if (type.kind === 'numeric' && !isDecimal(type))
        found.push({
          message: `"${name}" of "${table}" is a numeric that Redshift does not have.`,
          remedy: 'Declare it numeric(p, s) with at most 38 digits, or text().',
        });
    }
    const quoted = quoteTable(targetName(settings, table, rows));
    const other = names.get(quoted);
    names.set(quoted, table);
    if (other !== undefined)
      found.push({
        message: `"${other}" and "${table}" would both go to ${quoted}.`,
        remedy: `Name one of them: tables: { ${table}: { name: '…' } }.`,
      });
    return found;
  });
}
