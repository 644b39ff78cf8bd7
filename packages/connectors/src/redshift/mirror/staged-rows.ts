import {
  beforeKinds,
  type ColumnBatch,
  type ColumnSchema,
  changeKinds,
  MillraceError,
  type RowSchema,
  type SourceTransaction,
  type TableChanges,
  textCodec,
  type Vector,
  valuesVector,
} from '@millrace/core/runtime';
import { signature } from '../../s3/changelog/change-spool.ts';
import { constantVector, countsVector, dictionaryVector } from '../../s3/changelog/dictionary.ts';
import { withKnown } from '../../s3/changelog/log-rows.ts';
import { keyReader } from '../../s3/changelog/row-key.ts';
import type { Rounds } from './rounds.ts';

/** What a staged row says of itself, beside the columns of its table. No table has such columns. */
export const staged = {
  /** Its number, rising in the order of the stream. */
  number: '__millrace_number',
  /** `p` puts a row, `d` takes one away; `f` and `t`, one after the other, are a row's key before and the row after. */
  act: '__millrace_act',
  /** For each column of the table `1` where the value is known and `0` where it is as it was; NULL where all are. */
  known: '__millrace_known',
  /** When the source committed it. */
  at: '__millrace_at',
} as const;

export const stagedColumns: readonly ColumnSchema[] = [
  { name: staged.number, type: { kind: 'int8' }, nullable: false },
  { name: staged.act, type: { kind: 'text' }, nullable: false },
  { name: staged.known, type: { kind: 'text' }, nullable: true },
  { name: staged.at, type: { kind: 'timestamptz' }, nullable: true },
];

const schemas = new WeakMap<RowSchema, RowSchema>();

export function stagedSchema(rows: RowSchema): RowSchema {
  const columns = rows.columns.map(({ name, type }) => ({ name, type, nullable: true }));
  const found = schemas.get(rows) ?? { columns: [...stagedColumns, ...columns] };
  schemas.set(rows, found);
  return found;
}

const text = { kind: 'text' } as const;
const stamp = { kind: 'timestamptz' } as const;
const stampCodec = textCodec(stamp);
export const stampText = ({ committedAt }: SourceTransaction): string => stampCodec.print(stampCodec.conform(committedAt));

const acts = ['p', 'd', 'f', 't'] as const;
const [put, gone, from, to] = [0, 1, 2, 3];

/** Changes of a table as rows to stage, numbered by the rounds that will apply them. */
export function stagedRows(
  part: TableChanges,
  transactions: readonly SourceTransaction[],
  key: readonly string[],
  rounds: Rounds,
): ColumnBatch {
  const { rows, kinds } = part;
  const of = { table: part.table, staged: signature(rows.schema), key };
  const columns = rows.vectors.map((vector, place) => withKnown(vector, part, place));
  const partly = columns.flatMap(({ isUnknown }, place) => (isUnknown ? [{ name: rows.schema.columns[place]!.name, isUnknown }] : []));
  const keys = keysOf(part, key);
  const out = new Staging(kinds.length);
  for (let row = 0; row < kinds.length; row++) {
    const { now, was } = keys(row);
    if (kinds[row] === changeKinds.delete) {
      out.add(rounds.change(of, was), gone, row, was !== now);
      continue;
    }
    const unknown = partly.filter(({ isUnknown }) => isUnknown(row)).map(({ name }) => name);
    if (was === now) {
      out.add(rounds.change(of, now, unknown), put, row);
    } else if (unknown.length === 0) {
      out.add(rounds.change(of, was), gone, row, true);
      out.add(rounds.change(of, now), put, row);
    } else {
      const number = rounds.move(of, was, now, unknown);
      out.add(number, from, row, true);
      out.add(number + 1, to, row);
    }
  }
  const values = columns.map(({ vector }, place) =>
    out.column(vector, part.old?.vectors[place], key.includes(rows.schema.columns[place]!.name)),
  );
  const masks = partly.length === 0 ? null : maskOf(rows.schema, partly);
  return {
    schema: stagedSchema(rows.schema),
    rowCount: out.length,
    vectors: [
      countsVector(out.length, (at) => out.numbers[at]!),
      dictionaryVector(text, acts, out.acts),
      masks
        ? valuesVector(
            text,
            out.rows.map((row, at) => (out.acts[at] === put || out.acts[at] === to ? masks(row) : null)),
          )
        : constantVector(text, null, out.length),
      dictionaryVector(
        stamp,
        transactions.map(stampText),
        out.rows.map((row) => part.transactions[row]!),
      ),
      ...values,
    ],
  };
}

/** Of each change the keys of the row before and after it, which are mostly the same. */
function keysOf(part: TableChanges, key: readonly string[]): (row: number) => { readonly now: string; readonly was: string } {
  const now = keyReader(part.rows, key);
  const old = part.old ? keyReader(part.old, key) : null;
  const known = (found: string | null): string => {
    if (found !== null) return found;
    throw new MillraceError('CHANGE_REFUSED', {
      message: `A change of "${part.table}" comes without its key (${key.join(', ')}).`,
      remedy: 'Set the REPLICA IDENTITY of the table to an index of these columns, or to FULL.',
      facts: { table: part.table },
    });
  };
  return (row) => {
    const isDelete = part.kinds[row] === changeKinds.delete;
    if (!old || part.before[row] === beforeKinds.none) {
      const same = known(now(row));
      return { now: same, was: same };
    }
    const was = known(old(row));
    return { was, now: isDelete ? (now(row) ?? '') : known(now(row)) };
  };
}

function maskOf(
  { columns }: RowSchema,
  partly: readonly { name: string; isUnknown: (row: number) => boolean }[],
): (row: number) => string | null {
  const byName = new Map(partly.map(({ name, isUnknown }) => [name, isUnknown]));
  return (row) =>
    partly.some(({ isUnknown }) => isUnknown(row)) ? columns.map(({ name }) => (byName.get(name)?.(row) ? '0' : '1')).join('') : null;
}

/** Staged rows by the changes that they come from. */
class Staging {
  readonly numbers: number[] = [];
  readonly acts: number[] = [];
  readonly rows: number[] = [];
  /** True for rows that have their key from the row before the change. */
  readonly #before: boolean[] = [];
  #isPlain = true;
  readonly #changes: number;

  constructor(changes: number) {
    this.#changes = changes;
  }

  get length(): number {
    return this.numbers.length;
  }

  add(number: number, act: number, row: number, before = false): void {
    this.numbers.push(number);
    this.acts.push(act);
    this.rows.push(row);
    this.#before.push(before);
    if (before) this.#isPlain = false;
  }

  /** Mostly the vector as it came: one staged row for each change. */
  column(vector: Vector, old: Vector | undefined, isKey: boolean): Vector {
    if (this.#isPlain && this.length === this.#changes) return vector;
    const values = this.rows.map((row, at) => {
      if (this.#before[at]) return isKey && old ? old.get(row) : null;
      return vector.get(row);
    });
    return valuesVector(vector.type, values);
  }
}
