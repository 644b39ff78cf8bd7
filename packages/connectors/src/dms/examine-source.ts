import {
  type CaptureSource,
  type Context,
  type Finding,
  isMillraceError,
  type SqlConnection,
  type SqlRunner,
} from '@millrace/core/runtime';
import { isLob, type TablePlace } from './mappings.ts';
import type { EngineSettings } from './options.ts';
import type { TableReading } from './read-file.ts';

type Say = (level: Finding['level'], message: string, remedy?: string) => Finding;
type Row = Readonly<Record<string, string | null>>;

/** Rows up to which the longest value of a column is looked for. */
const looksThrough = 5_000_000;

/**
 * What DMS gets wrong without a word, looked for at a Postgres source before it happens. A source of another kind, or one that cannot be
 * asked, is not looked at.
 */
export async function examineSource(native: CaptureSource, settings: EngineSettings, context: Context): Promise<Finding[]> {
  const connection = native.connection as Partial<SqlConnection>;
  if (!connection.sql || connection.dialect !== 'postgres') return [];
  const say: Say = (level, message, remedy) => ({
    subject: native.description.connection,
    level,
    message,
    ...(remedy !== undefined && { remedy }),
  });
  const runner = connection.sql();
  try {
    const findings = await server(runner, say, context);
    for (const reading of settings.readings.values()) {
      const kilobytes = settings.lobKilobytes(nameOf(settings, reading));
      findings.push(...(await table(runner, say, reading, kilobytes, context)));
    }
    return findings;
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ ...say('problem', error.message, error.remedy), error }];
  }
}

const nameOf = ({ readings }: EngineSettings, reading: TableReading): string => [...readings].find(([, one]) => one === reading)?.[0] ?? '';

async function server(runner: SqlRunner, say: Say, context: Context): Promise<Finding[]> {
  const [row] = await runner.query(
    `SELECT current_setting('wal_level') AS level, current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots) AS slots,
       CASE WHEN current_setting('server_version_num')::int >= 130000 THEN (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size') END AS keep_mb,
       pg_is_in_recovery() AS standby`,
    [],
    context,
  );
  const findings: Finding[] = [];
  if (row?.['level'] !== 'logical')
    findings.push(
      say(
        'problem',
        `wal_level is ${row?.['level']}, and DMS reads changes only where it is logical`,
        'On RDS and Aurora set rds.logical_replication = 1 in the parameter group and reboot; elsewhere ALTER SYSTEM SET wal_level = logical; and restart.',
      ),
    );
  if (Number(row?.['slots']) < 1)
    findings.push(
      say(
        'warning',
        'no replication slot is free',
        'DMS needs one for each task: drop slots that nobody reads, or raise max_replication_slots and restart.',
      ),
    );
  if (row?.['keep_mb'] === '-1')
    findings.push(
      say(
        'warning',
        'max_slot_wal_keep_size is not set: while the task stands still, the log it still needs can fill the disk of the source',
        "ALTER SYSTEM SET max_slot_wal_keep_size = '100GB'; and reload: more than what is written in the longest stop, less than the disk holds.",
      ),
    );
  if (row?.['standby'] === 't' || row?.['standby'] === 'true')
    findings.push(say('warning', 'this is a standby', 'DMS captures changes of the primary: name that in the endpoint.'));
  return findings;
}

async function table(
  runner: SqlRunner,
  say: Say,
  { place, schema }: TableReading,
  kilobytes: number,
  context: Context,
): Promise<Finding[]> {
  const shown = `${place.schema}.${place.table}`;
  const [found] = await runner.query(
    `SELECT c.relkind AS kind, c.relreplident AS identity, c.reltuples::bigint AS rows, c.oid::text AS oid,
       (SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE i.indrelid = c.oid AND i.indisprimary) AS key
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
    [place.schema, place.table],
    context,
  );
  if (!found) return [say('problem', `there is no table ${shown}`, 'Correct the table() declaration.')];
  return [
    ...shape(found, shown, schema.key ?? [], say),
    ...(await types(runner, found, shown, schema, say, context)),
    ...(await lobs(runner, found, { place, schema }, kilobytes, say, context)),
  ];
}

function shape(found: Row, shown: string, key: readonly string[], say: Say): Finding[] {
  const findings: Finding[] = [];
  const primary = found['key'] === null || found['key'] === undefined ? [] : found['key'].split(',');
  if (primary.length === 0)
    findings.push(
      say(
        'problem',
        `${shown} has no primary key: DMS leaves out its updates and deletes without a word`,
        `ALTER TABLE ${shown} ADD PRIMARY KEY (${key.join(', ')});`,
      ),
    );
  else if ([...primary].sort().join() !== [...key].sort().join())
    findings.push(
      say(
        'problem',
        `${shown} has the primary key (${primary.join(', ')}), and (${key.join(', ')}) is declared: DMS knows deleted rows by the former only`,
        'Declare the key as it is.',
      ),
    );
  if (found['identity'] === 'n')
    findings.push(
      say(
        'problem',
        `${shown} has REPLICA IDENTITY NOTHING: its updates and deletes are not in the log`,
        `ALTER TABLE ${shown} REPLICA IDENTITY DEFAULT;`,
      ),
    );
  if (found['kind'] === 'p')
    findings.push(
      say(
        'warning',
        `${shown} is partitioned: DMS captures changes under the names of the partitions`,
        'Capture natively, or declare each partition as a table.',
      ),
    );
  if (found['kind'] === 'v' || found['kind'] === 'm')
    findings.push(say('problem', `${shown} is a view, which has no changes`, 'Capture its tables.'));
  return findings;
}

async function types(
  runner: SqlRunner,
  found: Row,
  shown: string,
  schema: TableReading['schema'],
  say: Say,
  context: Context,
): Promise<Finding[]> {
  const rows = await runner.query(
    `SELECT a.attname AS name FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid = 'numeric'::regtype AND a.atttypmod = -1`,
    [found['oid'] ?? null],
    context,
  );
  const declared = new Set(schema.columns.map(({ name }) => name));
  return rows
    .filter(({ name }) => name !== null && name !== undefined && declared.has(name))
    .map(({ name }) =>
      say(
        'problem',
        `${shown}.${name} is numeric without precision: DMS carries it as NUMERIC(28,6), so digits behind the sixth are lost`,
        `ALTER TABLE ${shown} ALTER ${name} TYPE numeric(38, …); or leave the column out.`,
      ),
    );
}

async function lobs(
  runner: SqlRunner,
  found: Row,
  { place, schema }: Pick<TableReading, 'place' | 'schema'>,
  kilobytes: number,
  say: Say,
  context: Context,
): Promise<Finding[]> {
  const columns = schema.columns.filter(({ type }) => isLob(type));
  if (columns.length === 0) return [];
  const shown = `${place.schema}.${place.table}`;
  if (Number(found['rows']) > looksThrough)
    return [
      say(
        'warning',
        `${shown} is too large to look for its longest values; DMS cuts what is longer than ${kilobytes} kB`,
        'Compare with the longest value of each; one that was cut stops the stream.',
      ),
    ];
  const longest = columns.map(({ name }, at) => `max(octet_length(${identifier(name)}::text)) AS c${at}`).join(', ');
  const [row] = await runner.query(`SELECT ${longest} FROM ${quoted(place)}`, [], context);
  return columns.flatMap(({ name }, at) => {
    const bytes = Number(row?.[`c${at}`] ?? 0);
    return bytes < kilobytes * 1024 - 3
      ? []
      : [
          say(
            'problem',
            `${shown}.${name} has a value of ${Math.ceil(bytes / 1024)} kB, and DMS cuts what is longer than ${kilobytes} kB`,
            `Say lobKilobytes: ${Math.ceil((bytes / 1024) * 2)} in dms().`,
          ),
        ];
  });
}

export const quoted = ({ schema, table }: TablePlace): string => `${identifier(schema)}.${identifier(table)}`;

const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;
