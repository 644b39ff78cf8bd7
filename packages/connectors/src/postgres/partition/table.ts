import { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { type QualifiedName, quoteIdentifier, quoteName } from '../identifier.ts';
import { parseBound, type TimeType, timeTypes } from './bound.ts';
import type { Range } from './decide.ts';

/** A table that is partitioned by ranges of time, as the catalog has it. */
export interface PartitionedTable {
  readonly oid: string;
  readonly name: QualifiedName;
  /** Quoted. */
  readonly owner: string;
  /** Whether what this session makes belongs to the table's owner. */
  readonly mine: boolean;
  readonly replicaIdentityFull: boolean;
  /** Quoted. */
  readonly column: string;
  readonly type: TimeType;
  readonly partitions: readonly ExistingPartition[];
  readonly fallback: QualifiedName | null;
}

export interface ExistingPartition extends Range {
  readonly name: QualifiedName;
  /** False for what holds partitions itself, or lies elsewhere: such a one is never detached or dropped. */
  readonly plain: boolean;
}

/** @throws TABLE_MISSING, UNSUPPORTED */
export async function findTable(table: string, session: Session): Promise<PartitionedTable> {
  const [row] = await session.query(
    `SELECT c.oid, n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner, pg_get_userbyid(c.relowner) = current_user AS mine, c.relreplident = 'f' AS full_identity,
       p.partstrat AS strategy, p.partnatts AS columns, a.attname AS column, format_type(a.atttypid, NULL) AS type
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0] AND a.attnum > 0
     WHERE c.oid = to_regclass($1)`,
    [quoteName(table)],
  );
  if (!row) {
    throw new MillraceError('TABLE_MISSING', {
      message: `${session.place.label}: there is no table ${table}.`,
      remedy: 'Check the name, with its schema, or make the table in a step that stands in "after".',
      facts: { table },
    });
  }
  const { strategy, columns, type } = row;
  if (strategy !== 'r') {
    throw unsuitable(
      table,
      strategy == null ? 'is not partitioned' : 'is not partitioned by ranges',
      'Make it with PARTITION BY RANGE (…) over a column of time.',
    );
  }
  if (columns !== '1' || row['column'] == null) {
    throw unsuitable(table, 'is partitioned by several columns or by an expression', 'Partitions are made for ranges of one column.');
  }
  if (!timeTypes.includes(type ?? '')) {
    throw unsuitable(table, `is partitioned by a column of type ${type}`, 'It must be a date, a timestamp or a timestamptz.');
  }
  return {
    oid: row['oid'] as string,
    name: { schema: row['schema'] as string, name: row['name'] as string },
    owner: quoteIdentifier(row['owner'] as string),
    mine: row['mine'] === 't',
    replicaIdentityFull: row['full_identity'] === 't',
    column: quoteIdentifier(row['column']),
    type: type as TimeType,
    ...(await partitionsOf(row['oid'] as string, session)),
  };
}

async function partitionsOf(oid: string, session: Session): Promise<Pick<PartitionedTable, 'partitions' | 'fallback'>> {
  const rows = await session.query(
    `SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, pg_get_expr(c.relpartbound, c.oid) AS bound
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE i.inhparent = $1::oid AND c.relpartbound IS NOT NULL`,
    [oid],
  );
  const partitions: ExistingPartition[] = [];
  let fallback: QualifiedName | null = null;
  for (const row of rows) {
    const name = { schema: row['schema'] as string, name: row['name'] as string };
    const range = parseBound(row['bound'] ?? '');
    if (range) partitions.push({ ...range, name, plain: row['kind'] === 'r' });
    else fallback = name;
  }
  partitions.sort((a, b) => a.from - b.from);
  return { partitions, fallback };
}

const unsuitable = (table: string, why: string, remedy: string): MillraceError =>
  new MillraceError('UNSUPPORTED', { message: `${table} ${why}.`, remedy, facts: { table } });
