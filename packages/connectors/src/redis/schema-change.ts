import {
  baseType,
  type ColumnChange,
  type ColumnSchema,
  type ColumnType,
  fidelity,
  MillraceError,
  type SchemaChange,
  type SchemaPolicy,
  typeName,
} from '@millrace/core/runtime';
import { formProblems, type RowForm } from './form.ts';

export interface ChangedKeys {
  /** The columns that the keys have, by name: what they have already needs no change. */
  readonly has: ReadonlyMap<string, string> | null;
  readonly form: RowForm;
  readonly pipeline: string;
}

/**
 * What a change of columns does to keys that are there: nothing. So it goes through where they stay right without: a new column that is
 * NULL in them, a column that goes (it goes from a key when its row is next written), a type that prints the same text. Anything else
 * stops the stream until the table has been copied again.
 *
 * @returns columns that are to be left out
 * @throws SCHEMA_CHANGED
 */
export function columnsLeftOut({ table, changes }: SchemaChange, policy: SchemaPolicy, { has, form, pipeline }: ChangedKeys): string[] {
  const stopped = (change: ColumnChange, what: string, resync: boolean): MillraceError =>
    new MillraceError('SCHEMA_CHANGED', {
      message: `The table "${table}" ${what} at the source, and keys that are there do not have that.`,
      remedy: resync
        ? `Copy the table again: millrace resync ${pipeline} --table ${table}`
        : `Bring the pipeline up to date, or set schemaChanges: { ${change.change}: 'apply' }, and start it again: it goes on from here.`,
      facts: { table, change: change.change },
    });
  return changes.flatMap((change) => {
    switch (change.change) {
      case 'add': {
        const { column, fill, computed } = change;
        if (policy.add === 'ignore') return [column.name];
        if (has?.has(column.name)) return [];
        if (policy.add === 'pause') throw stopped(change, `has a new column "${column.name}"`, false);
        if (fill !== null || computed) throw stopped(change, `has a new column "${column.name}", in which its rows have got a value`, true);
        return [];
      }
      case 'drop':
        if (policy.drop === 'pause' && has?.has(change.name)) throw stopped(change, `no longer has the column "${change.name}"`, false);
        return [];
      case 'rename':
        if (has?.has(change.to) && !has.has(change.from)) return [];
        throw stopped(change, `calls its column "${change.from}" now "${change.to}"`, policy.rename !== 'pause');
      case 'retype': {
        const { name, from, to } = change;
        if (has?.get(name) === typeName(to.type)) return [];
        const widens = fidelity(from.type, to.type) !== 'lossy';
        const may = policy.retype === 'apply' || (policy.retype === 'widen' && widens);
        if (may && printsTheSame(from.type, to.type, form.as)) return [];
        throw stopped(change, `has changed "${name}" from ${typeName(from.type)} to ${typeName(to.type)}`, policy.retype !== 'pause');
      }
      default:
        return change satisfies never;
    }
  });
}

/** Keys that lack what they are made of are none. @throws SCHEMA_CHANGED */
export function assertFits(table: string, form: RowForm, columns: readonly ColumnSchema[]): void {
  const [problem] = formProblems(form, columns, `"${table}"`);
  if (!problem) return;
  throw new MillraceError('SCHEMA_CHANGED', {
    message: `Columns have changed at the source, and now: ${problem.message}`,
    remedy: `Bring apply() up to date, and start the pipeline again: it goes on from here. ${problem.remedy}`,
    facts: { table },
  });
}

/** True where every value of `from`, cast, prints in `to` as it did before. */
function printsTheSame(from: ColumnType, to: ColumnType, as: RowForm['as']): boolean {
  const [a, b] = [baseType(from), baseType(to)];
  if (fidelity(a, b) === 'lossy') return false;
  if (a.kind === b.kind) return a.kind !== 'numeric' || (a.scale ?? null) === ((b as typeof a).scale ?? null);
  const integers = ['int2', 'int4', 'int8'];
  const texts = ['text', 'varchar', 'enum', 'uuid'];
  const isText = as !== 'json' && texts.includes(b.kind); // as JSON the one is a number, the other a string
  if (integers.includes(a.kind)) return integers.includes(b.kind) || isText || (b.kind === 'numeric' && !b.scale);
  return texts.includes(a.kind) && texts.includes(b.kind);
}
