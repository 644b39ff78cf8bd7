import {
  type ColumnBatch,
  hasUnchanged,
  isUnchanged,
  knownValues,
  pickVector,
  takeRows,
  unchangedVector,
  type Vector,
} from '../../batch/index.ts';
import {
  beforeKinds,
  type Context,
  changeKinds,
  ofColumn,
  type RelationalOp,
  type SplitTransform,
  type TableChanges,
  type Transform,
} from '../../connector/index.ts';
import { isMillraceError, MillraceError } from '../../error/index.ts';
import type { RowSchema } from '../../schema/index.ts';
import { atStep } from '../failure.ts';
import { seenAlike } from './columns-behind.ts';
import { takeChanges, withoutOrigins } from './trim.ts';

/*
 * Transforms work on rows; a change is a row before, a row after, or both, of which some values may be unknown. So:
 *
 *   what SQL can say (select, rename, mask)   runs over every image there is, the unknown stays unknown
 *   filter                                    runs over rows after; an update that it leaves out becomes a delete, since the row may
 *                                             have been in before; deletes go through, and find nothing where the row was not
 *   functions (map, filter)                   run over rows after; keys come through as they are, which `keyProblems` has checked
 */

export interface RowTransformParts {
  readonly step: string;
  readonly table: string;
  readonly transform: Transform;
  /** The columns that come now. */
  readonly input: RowSchema;
  /** Those that came when the pipeline was written. */
  readonly declared: RowSchema;
  readonly context: Context;
}

/** One transform of one table, over changes whose columns stay the same. */
export class RowTransform {
  readonly step: string;
  readonly #op: RelationalOp | undefined;
  readonly #isFilter: boolean;
  readonly #apply: SplitTransform;
  /** What the function or operation gets: the columns that come, or of them those that a function knows. */
  readonly #input: RowSchema;
  readonly #output: RowSchema;

  static async start({ step, table, transform, input, declared, context }: RowTransformParts): Promise<RowTransform> {
    const isFilter = transform.relational?.op === 'filter' || transform.output(input) === input;
    const seen = transform.relational ? input : known(input, declared, isFilter);
    const run = await transform.start(seen, {
      ...context,
      step,
      reject: ({ error, row }) => {
        throw isMillraceError(error) ? error : atStep(error, step, { split: table, row });
      },
    });
    return new RowTransform(step, transform, isFilter, run.split(table), seen);
  }

  private constructor(step: string, transform: Transform, isFilter: boolean, apply: SplitTransform, input: RowSchema) {
    this.step = step;
    this.#op = transform.relational;
    this.#isFilter = isFilter;
    this.#apply = apply;
    this.#input = input;
    this.#output = transform.output(input);
  }

  apply(part: TableChanges): TableChanges | Promise<TableChanges> {
    if (this.#isFilter) return this.#filter(part);
    return this.#op ? this.#everyImage(part, this.#op) : this.#map(part);
  }

  async #everyImage(part: TableChanges, op: RelationalOp): Promise<TableChanges> {
    const rows = await this.#knownRows(part.rows, op);
    const old = part.old && (await this.#knownRows(part.old, op));
    return { ...part, rows, old };
  }

  /** Applies to what is known; what is not stays so under its new name. Such transforms keep every row. */
  async #knownRows(batch: ColumnBatch, op: RelationalOp): Promise<ColumnBatch> {
    const out = await this.#apply.apply({ ...batch, vectors: batch.vectors.map(knownValues) });
    if (!batch.vectors.some(hasUnchanged)) return withoutOrigins(out);
    const names = this.#input.columns.map(({ name }) => (op.op === 'rename' ? (ofColumn(op.columns, name) ?? name) : name));
    const vectors = out.vectors.map((vector, place) => {
      const from = batch.vectors[names.indexOf(out.schema.columns[place]!.name)];
      return from && hasUnchanged(from) ? unchangedVector(vector, flags(from)) : vector;
    });
    return { schema: out.schema, rowCount: out.rowCount, vectors };
  }

  async #filter(part: TableChanges): Promise<TableChanges> {
    const after = rowsAfter(part);
    if (after.length === 0) return part;
    const input = rowsOf(part.rows, after);
    const out = await this.#apply.apply(input);
    if (out.rowCount === input.rowCount) return part;
    return this.#left(part, becameOf(out, after, part)).changes;
  }

  async #map(part: TableChanges): Promise<TableChanges> {
    const after = rowsAfter(part);
    const out = after.length === 0 ? null : await this.#apply.apply(this.#seen(rowsOf(part.rows, after)));
    const became = becameOf(out, after, part);
    const { changes, kept } = this.#left(part, became);
    if (out) this.#checkKey(part, out, became);
    const places = Int32Array.from(kept, (row) => became[row]!);
    const isAll = out?.rowCount === kept.length && places.every((place, row) => place === row);
    const own = Int32Array.from(kept, (_, row) => row);
    // A delete has its key, and nothing else.
    const which = Int8Array.from(changes.kinds, (kind) => (kind === changeKinds.delete ? 0 : 1));
    const at = Int32Array.from(places, (place, row) => (place < 0 ? row : place));
    const none = new Int8Array(kept.length).fill(-1);
    const key = (batch: ColumnBatch | null, name: string): Vector | undefined =>
      this.#output.key?.includes(name) ? batch?.vectors[placeOf(batch.schema, name)] : undefined;
    const vectors = this.#output.columns.map(({ name, type }, place): Vector => {
      const made = out?.vectors[place];
      if (isAll && made) return made;
      const before = key(changes.rows, name);
      if (before && made) return pickVector(type, [before, made], which, at);
      if (made) return pickVector(type, [made], which.map((one) => one - 1) as Int8Array, at);
      return before ? pickVector(type, [before], which.map((one) => -one) as Int8Array, at) : pickVector(type, [], none, own);
    });
    const old = changes.old && {
      schema: this.#output,
      rowCount: kept.length,
      vectors: this.#output.columns.map(({ name, type }) => key(changes.old, name) ?? pickVector(type, [], none, own)),
    };
    const before = changes.before.map((kind) => (kind === beforeKinds.row ? beforeKinds.key : kind));
    return { ...changes, before, rows: { schema: this.#output, rowCount: kept.length, vectors }, old };
  }

  /** A function gets the columns that it knows. */
  #seen(batch: ColumnBatch): ColumnBatch {
    if (batch.vectors.length === this.#input.columns.length) return batch;
    const vectors = this.#input.columns.map(({ name }) => batch.vectors[placeOf(batch.schema, name)]!);
    return { schema: this.#input, rowCount: batch.rowCount, vectors };
  }

  /** The changes without those whose rows have become nothing (-1): an insert goes, an update deletes the row that may have been there. */
  #left(part: TableChanges, became: Int32Array): { readonly changes: TableChanges; readonly kept: Int32Array } {
    const kinds = part.kinds.slice();
    const kept = Int32Array.from(kinds.keys()).filter((row) => {
      if (became[row] !== -1 || kinds[row] === changeKinds.delete) return true;
      if (kinds[row] === changeKinds.insert) return false;
      kinds[row] = changeKinds.delete;
      return true;
    });
    const ended = kinds.map((kind, row) => (kind === part.kinds[row] ? 0 : 1));
    if (!ended.includes(1)) return { changes: takeChanges(part, kept), kept };
    return { changes: takeChanges(endedRows({ ...part, kinds }, ended), kept), kept };
  }

  /** A function that makes another key would leave the old row behind for ever. */
  #checkKey(part: TableChanges, out: ColumnBatch, became: Int32Array): void {
    for (const name of this.#output.key ?? []) {
      const from = part.rows.vectors[placeOf(part.rows.schema, name)]!;
      const to = out.vectors[placeOf(this.#output, name)];
      if (from === to) continue;
      for (const [row, place] of became.entries()) {
        if (place < 0 || isUnchanged(from, row) || same(from.get(row), to?.get(place))) continue;
        throw new MillraceError('FUNCTION_FAILED', {
          message: `The function has changed "${name}", which is part of the key of "${part.table}".`,
          remedy: 'Hand key columns on as they are: deletes come with the key of the source. mask() and rename() can change keys.',
          facts: { table: part.table, column: name },
        });
      }
    }
  }
}

/** @throws the reason, in words, where a column that the function may use is not there any more, or is another */
function known(input: RowSchema, declared: RowSchema, isFilter: boolean): RowSchema {
  const columns = declared.columns.map((column) => {
    const now = input.columns.find(({ name }) => name === column.name);
    if (!now) throw new Error(`its column "${column.name}" is gone, or goes by another name`);
    if (!seenAlike(column.type, now.type)) throw new Error(`its column "${column.name}" comes with values of another type`);
    return now;
  });
  return isFilter || columns.length === input.columns.length ? input : { ...input, columns };
}

const placeOf = (schema: RowSchema, name: string): number => schema.columns.findIndex((column) => column.name === name);

const rowsAfter = ({ kinds }: TableChanges): Int32Array => Int32Array.from(kinds.keys()).filter((row) => kinds[row] !== changeKinds.delete);

const rowsOf = (batch: ColumnBatch, rows: Int32Array): ColumnBatch =>
  withoutOrigins(rows.length === batch.rowCount ? batch : takeRows(batch, rows));

/** For each change, the row of `out` that its row has become, or -1. `after`: the changes whose rows went in. */
function becameOf(out: ColumnBatch | null, after: Int32Array, { kinds }: TableChanges): Int32Array {
  const became = new Int32Array(kinds.length).fill(-1);
  for (let row = 0; row < (out?.rowCount ?? 0); row++) {
    const from = after[out?.origins?.[row] ?? row]!;
    if (became[from] !== -1) throw severalRows();
    became[from] = row;
  }
  return became;
}

/** Updates that have become deletes, where `ended` is 1: they have the row before as far as it is known, and its key in any case. */
function endedRows(part: TableChanges, ended: Uint8Array): TableChanges {
  const { rows, old } = part;
  const own = Int32Array.from(ended.keys());
  const knows = part.before.map((kind) => (kind === beforeKinds.none ? 0 : 1));
  const before = part.before.map((kind, row) => (ended[row] && kind === beforeKinds.none ? beforeKinds.key : kind));
  const image = (which: (row: number, isKey: boolean) => number): ColumnBatch['vectors'] =>
    rows.schema.columns.map(({ name, type }, place) => {
      const isKey = rows.schema.key?.includes(name) ?? false;
      const from = [rows.vectors[place]!, ...(old ? [old.vectors[place]!] : [])];
      return pickVector(
        type,
        from,
        Int8Array.from(own, (row) => which(row, isKey)),
        own,
      );
    });
  const endedFrom = (row: number, isKey: boolean): number => (knows[row] ? 1 : isKey ? 0 : -1);
  return {
    ...part,
    before,
    rows: { ...withoutOrigins(rows), vectors: image((row, isKey) => (ended[row] ? endedFrom(row, isKey) : 0)) },
    old: {
      schema: old?.schema ?? rows.schema,
      rowCount: rows.rowCount,
      vectors: image((row, isKey) => (ended[row] ? endedFrom(row, isKey) : knows[row] ? 1 : -1)),
    },
  };
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  return typeof a === 'object' && typeof b === 'object' && printed(a) === printed(b);
}

const printed = (value: unknown): string => JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? `${one}n` : one));

function flags(vector: Vector): Uint8Array {
  const bits = new Uint8Array(Math.ceil(vector.length / 8));
  for (let row = 0; row < vector.length; row++) if (isUnchanged(vector, row)) bits[row >> 3]! |= 1 << (row & 7);
  return bits;
}

const severalRows = (): MillraceError =>
  new MillraceError('FUNCTION_FAILED', {
    message: 'The function returned several rows for one, and what becomes of them when the row is deleted nobody could tell.',
    remedy: 'Return one row or null in a map over changes; make several rows of one in a batch pipeline.',
  });
