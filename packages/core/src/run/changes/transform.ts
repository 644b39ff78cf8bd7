import type {
  ChangeGroup,
  ChangePart,
  ColumnChange,
  Context,
  SchemaChange,
  StreamTables,
  TableChanges,
  Transform,
} from '../../connector/index.ts';
import { ofColumn } from '../../connector/index.ts';
import { MillraceError } from '../../error/index.ts';
import { type RowSchema, sameType } from '../../schema/index.ts';
import { atStep } from '../failure.ts';
import type { TableTransforms } from './branches.ts';
import { columnsBehind } from './columns-behind.ts';
import { RowTransform } from './row-transform.ts';

/** The transforms on the way to one target. They live as long as the attempt, and start anew where a table's columns change. */
export class ChangeTransforms {
  readonly #steps: readonly TableTransforms[];
  readonly #declared: StreamTables;
  readonly #context: Context;
  readonly #running = new Map<string, { readonly input: RowSchema; readonly transforms: readonly RowTransform[] }>();

  /** `declared`: the columns of each table at the source, as the pipeline file has them. */
  constructor(steps: readonly TableTransforms[], declared: StreamTables, context: Context) {
    this.#steps = steps;
    this.#declared = declared;
    this.#context = context;
  }

  /** @throws SCHEMA_CHANGED where a step cannot work on the columns that come, FUNCTION_FAILED, CHANGE_INCOMPLETE */
  through(group: ChangeGroup): ChangeGroup {
    if (this.#steps.length === 0) return group;
    return { transactions: group.transactions, size: group.size, position: () => group.position(), parts: this.#parts(group) };
  }

  async *#parts(group: ChangeGroup): AsyncGenerator<ChangePart, void, undefined> {
    for await (const part of group.parts) {
      if (part.kind === 'truncate') yield part;
      else if (part.kind === 'schema') {
        const changed = await this.#schemaChange(part);
        if (changed) yield changed;
      } else {
        const changed = await this.#changes(part, group);
        if (changed.kinds.length > 0) yield changed;
      }
    }
  }

  async #changes(part: TableChanges, group: ChangeGroup): Promise<TableChanges> {
    let changes = part;
    for (const transform of await this.#of(part.table, part.rows.schema)) {
      if (changes.kinds.length === 0) break;
      try {
        changes = await transform.apply(changes);
      } catch (error) {
        const transaction = group.transactions[part.transactions[0]!];
        throw atStep(error, transform.step, {
          split: `${part.table}, transaction ${transaction?.xid ?? '?'} at ${transaction?.commit ?? '?'}`,
        });
      }
    }
    return changes;
  }

  async #of(table: string, input: RowSchema): Promise<readonly RowTransform[]> {
    const known = this.#running.get(table);
    if (known && sameRows(known.input, input)) return known.transforms;
    const transforms = await this.#start(table, input);
    this.#running.set(table, { input, transforms });
    return transforms;
  }

  async #start(table: string, columns: RowSchema): Promise<RowTransform[]> {
    const transforms: RowTransform[] = [];
    let input = columns;
    let declared = ofColumn(this.#declared, table) ?? columns;
    for (const [step, transform] of this.#transformsOf(table)) {
      try {
        transforms.push(await RowTransform.start({ step, table, transform, input, declared, context: this.#context }));
      } catch (error) {
        throw cannotGoOn(table, step, error);
      }
      input = transform.output(input);
      declared = transform.output(declared);
    }
    return transforms;
  }

  /** How a change of columns at the source looks behind the transforms; null where it does not show. */
  async #schemaChange(part: SchemaChange): Promise<SchemaChange | null> {
    const { table } = part;
    let schema = part.schema;
    let changes: readonly ColumnChange[] = part.changes;
    for (const [step, transform] of this.#transformsOf(table)) {
      try {
        changes = columnsBehind(transform, changes, schema);
        schema = transform.output(schema);
      } catch (error) {
        throw cannotGoOn(table, step, error);
      }
    }
    this.#running.set(table, { input: part.schema, transforms: await this.#start(table, part.schema) });
    return changes.length > 0 ? { ...part, schema, changes } : null;
  }

  #transformsOf(table: string): (readonly [step: string, transform: Transform])[] {
    return this.#steps.flatMap(({ name, byTable }) => {
      const transform = ofColumn(byTable, table);
      return transform ? [[name, transform] as const] : [];
    });
  }
}

const sameRows = (a: RowSchema, b: RowSchema): boolean =>
  a === b ||
  (a.columns.length === b.columns.length &&
    a.columns.every(({ name, type, nullable }, place) => {
      const other = b.columns[place]!;
      return name === other.name && nullable === other.nullable && sameType(type, other.type);
    }));

const cannotGoOn = (table: string, step: string, error: unknown): MillraceError =>
  new MillraceError('SCHEMA_CHANGED', {
    message: `The columns of "${table}" have changed at the source, and "${step}" cannot work on them: ${error instanceof Error ? error.message : String(error)}.`,
    remedy: 'Bring the table() declaration and the step up to date, and start the pipeline again: it goes on from here.',
    facts: { table, step },
    cause: error,
  });
