import { type ColumnChange, ofColumn, type RelationalOp, type Transform } from '../../connector/index.ts';
import { baseType, type ColumnType, type RowSchema } from '../../schema/index.ts';

/**
 * How changes of the columns that come to a transform show in those that leave it.
 *
 * A step says by name what it does, so a column that it names and that goes by another name now, or is gone, stops the stream, also where
 * another column has come under the old name: a mask would hide the wrong one. A function has seen the columns of the declaration, and what
 * it does without one of them, or with values of another kind, nobody knows.
 *
 * @throws the reason, in words
 */
export function columnsBehind(transform: Transform, changes: readonly ColumnChange[], input: RowSchema): readonly ColumnChange[] {
  const { relational } = transform;
  const names = relational ? namedBy(relational) : null;
  for (const change of changes) {
    const problem = problemOf(change, names);
    if (problem) throw new Error(problem);
  }
  const output = transform.output(input);
  const [twice] = output.columns.filter(({ name }, place) => output.columns.findIndex((column) => column.name === name) !== place);
  if (twice) throw new Error(`two columns would be called "${twice.name}" behind it`);
  // A map gives the columns of its own table, whatever comes; a filter hands on what comes.
  if (!relational) return output === input ? changes : [];
  return changes.flatMap((change) => shown(change, relational));
}

/** The columns that an operation is about. */
function namedBy(op: RelationalOp): ReadonlySet<string> {
  switch (op.op) {
    case 'select':
      return new Set(op.columns);
    case 'rename':
    case 'cast':
    case 'mask':
      return new Set(Object.keys(op.columns));
    case 'filter':
      return new Set(op.where.map(({ column }) => column));
    case 'dedupe':
      return new Set([...op.key, op.by]);
    default:
      return op satisfies never;
  }
}

/** `names` is null for a function, which may use any column that was there. */
function problemOf(change: ColumnChange, names: ReadonlySet<string> | null): string | undefined {
  const isNamed = (name: string): boolean => names?.has(name) ?? true;
  switch (change.change) {
    case 'add':
      return undefined;
    case 'drop':
      return isNamed(change.name) ? `its column "${change.name}" is gone` : undefined;
    case 'rename':
      return isNamed(change.from) ? `its column "${change.from}" is called "${change.to}" now` : undefined;
    case 'retype':
      return names === null && !seenAlike(change.from.type, change.to.type)
        ? `its column "${change.name}" comes with values of another type`
        : undefined;
    default:
      return change satisfies never;
  }
}

/** Whether a function sees values of both types in one form: `numeric(10, 2)` and `numeric(12, 2)`, `int2` and `int4`. */
export function seenAlike(from: ColumnType, to: ColumnType): boolean {
  return formOf(from) === formOf(to);
}

function formOf(type: ColumnType): string {
  const base = baseType(type);
  switch (base.kind) {
    case 'int2':
    case 'int4':
    case 'float4':
    case 'float8':
      return 'number';
    case 'text':
    case 'varchar':
    case 'enum':
    case 'uuid':
      return 'text';
    case 'json':
    case 'jsonb':
      return 'json';
    case 'array':
      return `${formOf(base.of)}[]`;
    case 'range':
    case 'other':
      return base.name;
    default:
      return base.kind;
  }
}

function shown(change: ColumnChange, op: RelationalOp): readonly ColumnChange[] {
  switch (op.op) {
    case 'filter':
    case 'dedupe':
      return [change];
    case 'select':
      return change.change === 'retype' && op.columns.includes(change.name) ? [change] : [];
    case 'mask':
    case 'cast':
      return change.change === 'retype' && ofColumn<unknown>(op.columns, change.name) ? [] : [change];
    case 'rename': {
      if (change.change !== 'retype') return [change];
      const name = ofColumn(op.columns, change.name) ?? change.name;
      return [{ ...change, name, from: { ...change.from, name }, to: { ...change.to, name } }];
    }
    default:
      return op satisfies never;
  }
}
