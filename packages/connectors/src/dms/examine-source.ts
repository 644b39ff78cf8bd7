import {
  baseType,
  type CaptureSource,
  type Context,
  type Finding,
  isMillraceError,
  type SqlConnection,
  type SqlRunner,
} from '@millrace/core/runtime';
import { isCut, isLob } from './dms-types.ts';
import type { TablePlace } from './mappings.ts';
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
  if (isTrue(row?.['standby']))
    findings.push(say('warning', 'this is a standby', 'DMS captures changes of the primary: name that in the endpoint.'));
  return findings;
}

async function table(runner: SqlRunner, say: Say, reading: TableReading, kilobytes: number, context: Context): Promise<Finding[]> {
  const { place, schema } = reading;
  const shown = `${place.schema}.${place.table}`;
  const [found] = await runner.query(
    `SELECT c.relkind AS kind, c.relreplident AS identity, c.reltuples::bigint AS rows, c.oid::text AS oid, coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) > 0 AS toasted,
       (SELECT json_agg(a.attname ORDER BY k.place) FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE i.indrelid = c.oid AND i.indisprimary)::text AS key
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
    [place.schema, place.table],
    context,
  );
  if (!found) return [say('problem', `there is no table ${shown}`, 'Correct the table() declaration.')];
  const there = await runner.query(
    `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [found['oid'] ?? null],
    context,
  );
  const absent = columns(there, reading, shown, say);
  return [
    ...shape(found, shown, schema.key ?? [], say),
    ...absent,
    ...types(there, shown, reading, say),
    ...(absent.length > 0 ? [] : await values(runner, found, reading, kilobytes, say, context)),
  ];
}

/** Columns without names in the files are told by their places, so all of them must be declared. */
function columns(there: readonly Row[], { schema, reading }: TableReading, shown: string, say: Say): Finding[] {
  const found = there.map(({ name }) => name);
  const declared = schema.columns.map(({ name }) => name);
  const absent = declared.filter((name) => !found.includes(name));
  if (absent.length > 0) return [say('problem', `${shown} has no column ${absent.join(', ')}`, 'Correct the table() declaration.')];
  const isNamed = reading.transactions === null && (reading.format === 'parquet' || reading.csv.header);
  if (isNamed || declared.join('\0') === found.join('\0')) return [];
  return [
    say(
      'problem',
      `${shown} has the columns ${found.join(', ')}, and ${declared.join(', ')} are declared: in files without names they are told by their places`,
      'Declare all of them in their order, or set AddColumnName: true.',
    ),
  ];
}

function shape(found: Row, shown: string, key: readonly string[], say: Say): Finding[] {
  const findings: Finding[] = [];
  const primary = JSON.parse(found['key'] ?? '[]') as string[];
  if (primary.length === 0)
    findings.push(
      say(
        'problem',
        `${shown} has no primary key: DMS leaves out its updates and deletes without a word`,
        `ALTER TABLE ${shown} ADD PRIMARY KEY (${key.join(', ')});`,
      ),
    );
  else if ([...primary].sort().join('\0') !== [...key].sort().join('\0'))
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
  if (isTrue(found['toasted']) && found['identity'] !== 'f')
    findings.push(
      say(
        'warning',
        `${shown} has values that stand out of line: where an update leaves one as it was, the log does not have it, and DMS may write NULL`,
        `ALTER TABLE ${shown} REPLICA IDENTITY FULL;`,
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

/** As the source has them, whatever is declared. */
function types(there: readonly Row[], shown: string, { schema, reading }: TableReading, say: Say): Finding[] {
  const keys = new Set(schema.key ?? []);
  const declared = new Set(schema.columns.map(({ name }) => name));
  return there.flatMap(({ name, type }) => {
    if (!name || !type || !declared.has(name)) return [];
    if (type === 'numeric')
      return [
        say(
          'problem',
          `${shown}.${name} is numeric without precision: DMS carries it as NUMERIC(28,6), so digits behind the sixth are lost`,
          `ALTER TABLE ${shown} ALTER ${name} TYPE numeric(38, …); or leave the column out.`,
        ),
      ];
    if (keys.has(name) && /^(text|json|jsonb|bytea|character varying|.*\[\])$/.test(type))
      return [
        say(
          'problem',
          `${shown}.${name} is ${type}, a large object to DMS, which does not carry keys of such types`,
          `ALTER TABLE ${shown} ALTER ${name} TYPE varchar(200); or capture natively.`,
        ),
      ];
    if (reading.format === 'csv' && /^(real|double precision)$/.test(type))
      return [
        say(
          'warning',
          `${shown}.${name} is ${type}, of which CSV has as many digits as DMS prints`,
          "Have DataFormat: 'parquet', which has all of it.",
        ),
      ];
    return [];
  });
}

/** What values DMS would change, in one look through the table. */
async function values(
  runner: SqlRunner,
  found: Row,
  { place, schema, reading }: TableReading,
  kilobytes: number,
  say: Say,
  context: Context,
): Promise<Finding[]> {
  const shown = `${place.schema}.${place.table}`;
  const isCsv = reading.format === 'csv' || reading.transactions !== null;
  const looks = schema.columns.flatMap((column) => {
    const x = identifier(column.name);
    const { kind } = baseType(column.type);
    const all: { readonly column: string; readonly of: 'bytes' | 'infinity' | 'null'; readonly sql: string }[] = [];
    if (isLob(column.type)) all.push({ column: column.name, of: 'bytes', sql: `max(${lobBytes(kind === 'bytea', x)})` });
    if (['date', 'timestamp', 'timestamptz'].includes(kind))
      all.push({ column: column.name, of: 'infinity', sql: `max(CASE WHEN NOT isfinite(${x}) THEN 1 END)` });
    if (isCsv && isText(kind)) all.push({ column: column.name, of: 'null', sql: `max(CASE WHEN ${x}::text = $1 THEN 1 END)` });
    return all;
  });
  if (looks.length === 0) return [];
  if (Number(found['rows']) > looksThrough)
    return [
      say(
        'warning',
        `${shown} is too large to look for values that DMS would change: longer than ${kilobytes} kB, infinite${isCsv ? `, or ${reading.csv.nullText}` : ''}`,
        'Look for them yourself; one that was cut stops the stream.',
      ),
    ];
  const list = looks.map(({ sql }, at) => `${sql} AS c${at}`).join(', ');
  const needsText = looks.some(({ of }) => of === 'null');
  const [row] = await runner.query(`SELECT ${list} FROM ${quoted(place)}`, needsText ? [reading.csv.nullText] : [], context);
  return looks.flatMap(({ column, of }, at) => {
    const value = Number(row?.[`c${at}`] ?? 0);
    const where = `${shown}.${column}`;
    switch (of) {
      case 'bytes':
        return isCut(value, kilobytes)
          ? [
              say(
                'problem',
                `${where} has a value of ${Math.ceil(value / 1024)} kB as DMS counts it, and DMS cuts what is longer than ${kilobytes} kB`,
                `Say lobKilobytes: ${Math.ceil((value / 1024) * 2)} in dms().`,
              ),
            ]
          : [];
      case 'infinity':
        return value === 0
          ? []
          : [
              say(
                'problem',
                `${where} holds infinity, which DMS writes as the end of the year 9999 or as 4713 BC`,
                'Put a date in its place, leave the column out, or capture natively.',
              ),
            ];
      default:
        return value === 0
          ? []
          : [
              say(
                'problem',
                `${where} holds the text ${JSON.stringify(reading.csv.nullText)}, which stands for NULL in the files`,
                "Choose another CsvNullValue, or DataFormat: 'parquet'.",
              ),
            ];
    }
  });
}

const isText = (kind: string): boolean => ['text', 'varchar', 'char', 'json', 'jsonb', 'array', 'enum'].includes(kind);

/** Two bytes for each character of a text, four where any needs as many: as `lobTextBytes`. */
const lobBytes = (isBytes: boolean, x: string): string =>
  isBytes
    ? `octet_length(${x})`
    : `greatest(octet_length(${x}::text), length(${x}::text)::bigint * CASE WHEN octet_length(${x}::text) > length(${x}::text) AND ${x}::text ~ '[\\U00010000-\\U0010FFFF]' THEN 4 ELSE 2 END)`;

const isTrue = (value: string | null | undefined): boolean => value === 't' || value === 'true';

export const quoted = ({ schema, table }: TablePlace): string => `${identifier(schema)}.${identifier(table)}`;

const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;
