import {
  type ColumnBatch,
  hasUnchanged,
  isUnchanged,
  knownValues,
  takeRows,
  unchangedVector,
  type Vector,
  valuesVector,
} from '../../batch/index.ts';
import {
  beforeKinds,
  type ChangeGroup,
  type ChangePart,
  type ColumnChange,
  type Context,
  changeKinds,
  ofColumn,
  type RelationalOp,
  type SchemaChange,
  type SplitTransform,
  type StreamTables,
  type TableChanges,
  type Transform,
} from '../../connector/index.ts';
import { isMillraceError, MillraceError } from '../../error/index.ts';
import { type ColumnSchema, type RowSchema, sameType } from '../../schema/index.ts';
import { atStep } from '../failure.ts';
import type { TableTransforms } from './branches.ts';
import { takeChanges, withoutOrigins } from './trim.ts';

/*
 * Transforms work on rows; a change is a row before, a row after, or both, of which some values may be unknown. So:
 *
 *   what SQL can say (select, rename, mask, cast)   runs over every image there is, the unknown stays unknown
 *   filter                                          runs over rows after; an update that it leaves out becomes a delete, since the row may
 *                                                   have been in before; deletes go through, and find nothing where the row was not
 *   functions (map, mapBatches, filter)             run over rows after; keys come through as they are, which `keyProblems` has checked
 */

/** The transforms on the way to one target. They live as long as the attempt, and start anew where a table's columns change. */
export class ChangeTransforms {
  readonly #steps: readonly TableTransforms[];
  readonly #context: Context;
  readonly #tables = new Map<string, readonly Running[]>();
  readonly #schemas: Map<string, RowSchema>;

  constructor(steps: readonly TableTransforms[], tables: StreamTables, context: Context) {
    this.#steps = steps;
    this.#context = context;
    this.#schemas = new Map(Object.entries(tables));
  }

  through(group: ChangeGroup): ChangeGroup {
    if (this.#steps.length === 0) return group;
    return { transactions: group.transactions, size: group.size, position: () => group.position(), parts: this.#parts(group) };
  }

  async *#parts(group: ChangeGroup): AsyncGenerator<ChangePart, void, undefined> {
    for await (const part of group.parts) {
      if (part.kind === 'truncate') yield part;
      else if (part.kind === 'schema') {
        const changed = await this.#schemaChange(part);
        if (changed.changes.length > 0) yield changed;
      } else {
        const changed = await this.#changes(part, group);
        if (changed.kinds.length > 0) yield changed;
      }
    }
  }

  async #changes(part: TableChanges, group: ChangeGroup): Promise<TableChanges> {
    let changes = part;
    for (const running of await this.#of(part.table, part.rows.schema)) {
      if (changes.kinds.length === 0) break;
      try {
        changes = await running.apply(changes);
      } catch (error) {
        const transaction = group.transactions[part.transactions[0]!];
        throw atStep(error, running.step, {
          split: `${part.table}, transaction ${transaction?.xid ?? '?'} at ${transaction?.commit ?? '?'}`,
        });
      }
    }
    return changes;
  }

  async #of(table: string, schema: RowSchema): Promise<readonly Running[]> {
    const known = this.#tables.get(table);
    if (known && this.#schemas.get(table) === schema) return known;
    const started = await this.#start(table, schema);
    this.#tables.set(table, started);
    this.#schemas.set(table, schema);
    return started;
  }

  async #start(table: string, schema: RowSchema): Promise<Running[]> {
    const started: Running[] = [];
    let input = schema;
    for (const { name, byTable } of this.#steps) {
      const transform = ofColumn(byTable, table);
      if (!transform) continue;
      started.push(await Running.start(name, table, transform, input, this.#context));
      input = transform.output(input);
    }
    return started;
  }

  /** How a change of columns at the source looks behind the transforms. */
  async #schemaChange(part: SchemaChange): Promise<SchemaChange> {
    const transforms = this.#steps.flatMap(({ name, byTable }) => {
      const transform = ofColumn(byTable, part.table);
      return transform ? [{ name, transform }] : [];
    });
    if (transforms.length === 0) return part;
    const outputOf = (schema: RowSchema): RowSchema => transforms.reduce((input, { transform }) => transform.output(input), schema);
    const before = outputOf(this.#schemas.get(part.table) ?? part.schema);
    try {
      this.#tables.set(part.table, await this.#start(part.table, part.schema));
      this.#schemas.set(part.table, part.schema);
      const after = outputOf(part.schema);
      return { ...part, schema: after, changes: behind(part.changes, before.columns, after.columns) };
    } catch (error) {
      throw new MillraceError('SCHEMA_CHANGED', {
        message: `The columns of "${part.table}" have changed at the source, and ${transforms.map(({ name }) => `"${name}"`).join(', ')} cannot work on them: ${error instanceof Error ? error.message : String(error)}`,
        remedy: 'Bring the table() declaration and the step up to date, and start the pipeline again: it goes on from here.',
        facts: { table: part.table, changes: part.changes },
        cause: error,
      });
    }
  }
}

/** The part of the changes that shows in the columns that come out. */
function behind(changes: readonly ColumnChange[], before: readonly ColumnSchema[], after: readonly ColumnSchema[]): ColumnChange[] {
  const was = new Map(before.map((column) => [column.name, column]));
  const is = new Map(after.map((column) => [column.name, column]));
  const renamed = changes.flatMap((change) =>
    change.change === 'rename' && was.has(change.from) && is.has(change.to) && !is.has(change.from) ? [change] : [],
  );
  const gone = new Set(renamed.map(({ from }) => from));
  const come = new Set(renamed.map(({ to }) => to));
  const fills = new Map(changes.flatMap((change) => (change.change === 'add' ? [[change.column.name, change.fill] as const] : [])));
  return [
    ...renamed,
    ...before.flatMap((column): ColumnChange[] =>
      is.has(column.name) || gone.has(column.name) ? [] : [{ change: 'drop', name: column.name }],
    ),
    ...after.flatMap((column): ColumnChange[] => {
      const old = was.get(column.name);
      if (!old) return come.has(column.name) ? [] : [{ change: 'add', column, fill: fills.get(column.name) ?? null }];
      return sameType(old.type, column.type) ? [] : [{ change: 'retype', name: column.name, from: old, to: column }];
    }),
  ];
}

/** One transform of one table. */
class Running {
  readonly step: string;
  readonly #transform: Transform;
  readonly #apply: SplitTransform;
  readonly #input: RowSchema;
  readonly #output: RowSchema;

  static async start(step: string, table: string, transform: Transform, input: RowSchema, context: Context): Promise<Running> {
    const run = await transform.start(input, {
      ...context,
      step,
      reject: ({ error, row }) => {
        throw isMillraceError(error) ? error : atStep(error, step, { split: table, row });
      },
    });
    return new Running(step, transform, run.split(table), input);
  }

  private constructor(step: string, transform: Transform, apply: SplitTransform, input: RowSchema) {
    this.step = step;
    this.#transform = transform;
    this.#apply = apply;
    this.#input = input;
    this.#output = transform.output(input);
  }

  apply(part: TableChanges): Promise<TableChanges> {
    const { relational } = this.#transform;
    return relational && relational.op !== 'filter' && relational.op !== 'dedupe'
      ? this.#everyImage(part, relational)
      : this.#rowsAfter(part);
  }

  async #everyImage(part: TableChanges, op: RelationalOp): Promise<TableChanges> {
    const rows = await this.#known(part.rows, op);
    const old = part.old && (await this.#known(part.old, op));
    return { ...part, rows, old };
  }

  /** Applies to what is known; what is not stays so under its new name. Such transforms keep every row. */
  async #known(batch: ColumnBatch, op: RelationalOp): Promise<ColumnBatch> {
    const out = await this.#apply.apply({ ...batch, vectors: batch.vectors.map(knownValues) });
    if (!batch.vectors.some(hasUnchanged)) return withoutOrigins(out);
    const names = this.#input.columns.map(({ name }) => (op.op === 'rename' ? (ofColumn(op.columns, name) ?? name) : name));
    const vectors = out.vectors.map((vector, place) => {
      const from = batch.vectors[names.indexOf(out.schema.columns[place]!.name)];
      return from && hasUnchanged(from) ? unchangedVector(vector, flags(from)) : vector;
    });
    return { schema: out.schema, rowCount: out.rowCount, vectors };
  }

  async #rowsAfter(part: TableChanges): Promise<TableChanges> {
    const all = Int32Array.from({ length: part.kinds.length }, (_, row) => row);
    const after = all.filter((row) => part.kinds[row] !== changeKinds.delete);
    const input = after.length === all.length ? part.rows : withoutOrigins(takeRows(part.rows, after));
    const out = input.rowCount === 0 ? input : await this.#apply.apply(input);
    const keepsAll = out.rowCount === input.rowCount && (out === input || out.origins === undefined);
    const filters = this.#transform.relational?.op === 'filter' || this.#output === this.#input;
    if (keepsAll && filters) return part;
    /** For each change, the row of `out` that it has become, or -1. */
    const became = new Int32Array(part.kinds.length).fill(-1);
    for (let row = 0; row < out.rowCount; row++) {
      const from = after[keepsAll ? row : out.origins![row]!]!;
      if (became[from] !== -1) throw severalRows();
      became[from] = row;
    }
    const kinds = part.kinds.slice();
    const kept = all.filter((row) => {
      if (became[row] !== -1 || kinds[row] === changeKinds.delete) return true;
      if (kinds[row] === changeKinds.insert) return false;
      kinds[row] = changeKinds.delete;
      return true;
    });
    if (filters) return takeChanges({ ...part, kinds }, kept);
    const places = Int32Array.from(kept, (row) => became[row]!);
    this.#checkKey(part, out, became);
    const before = part.before.map((kind) => (kind === beforeKinds.row ? beforeKinds.key : kind));
    return takeChangesAs(
      { ...part, kinds, before, rows: this.#rows(out, places, part.rows, kept), old: part.old && this.#keysOnly(part.old, kept) },
      kept,
    );
  }

  /** The function's rows, and for deletes the key as it was. */
  #rows(out: ColumnBatch, places: Int32Array, source: ColumnBatch, kept: Int32Array): ColumnBatch {
    if (places.every((place, row) => place === row) && places.length === out.rowCount)
      return { ...withoutOrigins(out), schema: this.#output };
    const vectors = out.vectors.map((vector, at) => {
      const { name, type } = this.#output.columns[at]!;
      const key = this.#output.key?.includes(name) ? source.vectors[this.#placeOf(name)] : undefined;
      return chosen(type, vector, places, key, kept);
    });
    return { schema: this.#output, rowCount: kept.length, vectors };
  }

  #keysOnly(old: ColumnBatch, kept: Int32Array): ColumnBatch {
    const taken = takeRows(old, kept);
    const vectors = this.#output.columns.map(({ name, type }) =>
      this.#output.key?.includes(name) ? taken.vectors[this.#placeOf(name)]! : valuesVector(type, new Array(kept.length).fill(null)),
    );
    return { schema: this.#output, rowCount: kept.length, vectors };
  }

  #placeOf(name: string): number {
    return this.#input.columns.findIndex((column) => column.name === name);
  }

  /** A function that makes another key would leave the old row behind for ever. */
  #checkKey(part: TableChanges, out: ColumnBatch, became: Int32Array): void {
    for (const name of this.#output.key ?? []) {
      const from = part.rows.vectors[this.#placeOf(name)]!;
      const to = out.vectors[this.#output.columns.findIndex((column) => column.name === name)]!;
      if (from === to) continue;
      for (const [row, place] of became.entries()) {
        if (place < 0 || same(from.get(row), to.get(place))) continue;
        throw new MillraceError('FUNCTION_FAILED', {
          message: `The function has changed "${name}", which is part of the key of "${part.table}".`,
          remedy: 'Hand key columns on as they are: deletes come with the key of the source. mask() and rename() can change keys.',
          facts: { table: part.table, column: name },
        });
      }
    }
  }
}

const same = (a: unknown, b: unknown): boolean => a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b));

/** As `takeChanges`, where the rows have been taken already. */
function takeChangesAs(part: TableChanges, kept: Int32Array): TableChanges {
  const { rows, old } = part;
  return {
    ...part,
    kinds: Uint8Array.from(kept, (row) => part.kinds[row]!),
    ordinals: Float64Array.from(kept, (row) => part.ordinals[row]!),
    transactions: Int32Array.from(kept, (row) => part.transactions[row]!),
    before: Uint8Array.from(kept, (row) => part.before[row]!),
    rows,
    old,
  };
}

function flags(vector: Vector): Uint8Array {
  const bits = new Uint8Array(Math.ceil(vector.length / 8));
  for (let row = 0; row < vector.length; row++) if (isUnchanged(vector, row)) bits[row >> 3]! |= 1 << (row & 7);
  return bits;
}

/** Values of `from` at `places`; where a place is -1, those of `other` at `rows`, or NULL. */
function chosen(type: ColumnSchema['type'], from: Vector, places: Int32Array, other: Vector | undefined, rows: Int32Array): Vector {
  const unchanged = new Uint8Array(Math.ceil(places.length / 8));
  let some = false;
  const values = Array.from(places, (place, row) => {
    if (place < 0) return other ? other.get(rows[row]!) : null;
    if (!isUnchanged(from, place)) return from.get(place);
    some = true;
    unchanged[row >> 3]! |= 1 << (row & 7);
    return null;
  });
  const vector = valuesVector(type, values);
  return some ? unchangedVector(vector, unchanged) : vector;
}

const severalRows = (): MillraceError =>
  new MillraceError('FUNCTION_FAILED', {
    message: 'The function returned several rows for one, and what becomes of them when the row is deleted nobody could tell.',
    remedy: 'Return one row or null in a map over changes; make several rows of one in a batch pipeline.',
  });
