import { beforeKinds, changeKinds } from '@millrace/core/runtime';
import { settable } from './mirror-sql.ts';
import { keyOf, movesKey, type OneChange, type TextValue, valuesAfter, valuesBefore } from './one-change.ts';

/** A statement for one change. */
export interface Act {
  readonly text: string;
  readonly values: readonly (string | null)[];
  /** Where it met no row: what is done instead, or that the change is refused. */
  readonly otherwise?: Act | 'refuse';
}

/** Parameters of one statement, as text that is cast to the type of its column. */
export class Parameters {
  readonly values: (string | null)[] = [];

  add({ column, text }: TextValue): string {
    return `${this.text(text)}::${column.cast}`;
  }

  text(text: string | null): string {
    this.values.push(text);
    return `$${this.values.length}::text`;
  }

  /** `t."id" = $1::text::int8 AND …` */
  same(values: readonly TextValue[], alias = 't'): string {
    return values.map((value) => `${alias}.${value.column.quoted} = ${this.add(value)}`).join(' AND ');
  }
}

export function mirrorActs(change: OneChange): Act[] {
  if (change.target.key.length === 0) return wholeRowActs(change);
  switch (change.part.kinds[change.row]) {
    case changeKinds.insert:
      return [upsert(change)];
    case changeKinds.delete:
      return [deleteByKey(change)];
    default:
      // An identity that is always generated can be inserted and not be updated.
      if (change.target.key.some((name) => change.target.columns.get(name)!.identityAlways) && movesKey(change))
        return [reinserted(change)];
      return [update(change)];
  }
}

export const isWhole = ({ columns }: OneChange, values: readonly TextValue[]): boolean =>
  values.length === columns.filter((column) => column !== null).length;

/** `also` are assignments of columns that no row brings. */
export function upsert(change: OneChange, also: readonly string[] = []): Act {
  const { target } = change;
  const values = valuesAfter(change);
  const parameters = new Parameters();
  const given = values.map((value) => parameters.add(value)).join(', ');
  const set = [
    ...settable(
      target,
      values.map(({ column }) => column),
    ).map(({ quoted }) => `${quoted} = excluded.${quoted}`),
    ...also,
  ];
  const key = target.key.map((name) => target.columns.get(name)!.quoted).join(', ');
  const conflict = set.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${set.join(', ')}`;
  return {
    text: `INSERT INTO ${target.quoted} AS t (${names(values)}) OVERRIDING SYSTEM VALUE VALUES (${given}) ON CONFLICT (${key}) ${conflict}`,
    values: parameters.values,
  };
}

export const names = (values: readonly TextValue[]): string => values.map(({ column }) => column.quoted).join(', ');

function deleteByKey(change: OneChange): Act {
  const parameters = new Parameters();
  const where = parameters.same(keyOf(change));
  return { text: `DELETE FROM ${change.target.quoted} AS t WHERE ${where}`, values: parameters.values };
}

export function update(change: OneChange, also: readonly string[] = []): Act {
  const { target } = change;
  const values = valuesAfter(change);
  const moves = movesKey(change);
  const written = new Set(
    settable(
      target,
      values.map(({ column }) => column),
    ),
  );
  const parameters = new Parameters();
  const set = values.flatMap((value) => {
    const isKey = moves && target.key.includes(value.column.name) && !value.column.identityAlways;
    return isKey || written.has(value.column) ? [`${value.column.quoted} = ${parameters.add(value)}`] : [];
  });
  const otherwise = isWhole(change, values) ? upsert(change, also) : 'refuse';
  // A statement that changes nothing still says whether the row is there.
  const assignments = [...set, ...also];
  if (assignments.length === 0) {
    const look = parameters.same(keyOf(change));
    return { text: `SELECT 1 FROM ${target.quoted} AS t WHERE ${look}`, values: parameters.values, otherwise };
  }
  const where = parameters.same(keyOf(change));
  return { text: `UPDATE ${target.quoted} AS t SET ${assignments.join(', ')} WHERE ${where}`, values: parameters.values, otherwise };
}

/** The row under its new key in the place of the one under the old key. */
function reinserted(change: OneChange): Act {
  const { target } = change;
  const after = valuesAfter(change);
  const parameters = new Parameters();
  const given = after.map((value) => parameters.add(value));
  const others = unchangedColumns(change);
  const text = `WITH old AS (DELETE FROM ${target.quoted} AS t WHERE ${parameters.same(keyOf(change))} RETURNING *)
    INSERT INTO ${target.quoted} (${[names(after), ...others].join(', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${[...given, ...others.map((name) => `old.${name}`)].join(', ')} FROM old`;
  return { text, values: parameters.values, otherwise: isWhole(change, after) ? upsert(change) : 'refuse' };
}

function unchangedColumns(change: OneChange): string[] {
  const came = new Set(valuesAfter(change).map(({ column }) => column));
  return change.columns.flatMap((column) => (column && !came.has(column) ? [column.quoted] : []));
}

/** The row under its new key, with what did not come taken from the row under the old one, which stays. */
export function movedRow(change: OneChange, also: readonly string[]): Act {
  const { target, columns } = change;
  const after = valuesAfter(change);
  const parameters = new Parameters();
  const given = after.map((value) => parameters.add(value));
  const others = unchangedColumns(change);
  const set = columns.flatMap((column) => (column && !target.key.includes(column.name) && !column.identityAlways ? [column.quoted] : []));
  const assignments = [...set.map((name) => `${name} = excluded.${name}`), ...also];
  const key = target.key.map((name) => target.columns.get(name)!.quoted).join(', ');
  const text = `INSERT INTO ${target.quoted} AS n (${[names(after), ...others].join(', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${[...given, ...others.map((name) => `t.${name}`)].join(', ')} FROM ${target.quoted} AS t WHERE ${parameters.same(keyOf(change))}
    ON CONFLICT (${key}) DO UPDATE SET ${assignments.join(', ')}`;
  return { text, values: parameters.values, otherwise: 'refuse' };
}

/** Rows without a key are told apart by all they hold; of several that are equal one is meant. */
function wholeRowActs(change: OneChange): Act[] {
  const { target, part, row } = change;
  const after = valuesAfter(change);
  if (part.kinds[row] === changeKinds.insert) return [plainInsert(change)];
  const before = valuesBefore(change);
  const parameters = new Parameters();
  if (part.before[row] !== beforeKinds.row || before === null || !isWhole(change, before)) {
    const text = `SELECT FROM ${target.quoted} WHERE false`;
    return [{ text, values: [], otherwise: 'refuse' }];
  }
  if (part.kinds[row] === changeKinds.delete) {
    const text = `DELETE FROM ${target.quoted} AS t WHERE ${oneRow(change, before, parameters)}`;
    return [{ text, values: parameters.values }];
  }
  const set = after
    .filter(({ column }) => !column.identityAlways)
    .map((value) => `${value.column.quoted} = ${parameters.add(value)}`)
    .join(', ');
  const text = `UPDATE ${target.quoted} AS t SET ${set} WHERE ${oneRow(change, before, parameters)}`;
  return [{ text, values: parameters.values, otherwise: isWhole(change, after) ? plainInsert(change) : 'refuse' }];
}

function plainInsert(change: OneChange): Act {
  const parameters = new Parameters();
  const after = valuesAfter(change);
  const given = after.map((value) => parameters.add(value)).join(', ');
  return {
    text: `INSERT INTO ${change.target.quoted} (${names(after)}) OVERRIDING SYSTEM VALUE VALUES (${given})`,
    values: parameters.values,
  };
}

/** `*=` compares as rows are stored: types without an equality of their own are no exception, and NULL equals NULL. */
function oneRow({ target }: OneChange, before: readonly TextValue[], parameters: Parameters): string {
  const stored = before.map(({ column }) => `s.${column.quoted}`).join(', ');
  const given = before.map((value) => parameters.add(value)).join(', ');
  // What an index may help to find; rows that are equal as they are stored are equal here too.
  const equal = before
    .filter((value) => value.text !== null && comparable.has(value.column.type.kind))
    .map((value) => ` AND s.${value.column.quoted} = ${parameters.add(value)}`)
    .join('');
  const place = target.real.partitioned ? ['(t.tableoid, t.ctid)', 's.tableoid, s.ctid'] : ['t.ctid', 's.ctid'];
  return `${place[0]} = (SELECT ${place[1]} FROM ${target.quoted} AS s WHERE ROW(${stored})::record *= ROW(${given})::record${equal} LIMIT 1)`;
}

const comparable = new Set(['int2', 'int4', 'int8', 'text', 'varchar', 'uuid', 'date', 'timestamp', 'timestamptz', 'bool']);
