import { type ColumnChange, type ColumnType, MillraceError, type RowSchema, type SchemaChange } from '@millrace/core/runtime';
import { oneByOne } from '../../changes/renames.ts';
import type { TableShape } from '../../changes/table-shape.ts';
import {
  columnChanges,
  columnsAt,
  declaredStreamColumns,
  keyAt,
  type SourceColumn,
  type StreamColumn,
} from '../../postgres/capture/stream-columns.ts';
import { tableShape } from '../../postgres/capture/table-shape.ts';
import type { ZeroDates } from '../batches.ts';
import type { ColumnStep } from '../binlog/alter-table.ts';
import type { Charsets } from '../binlog/charset.ts';
import { corrupt, unfollowable } from '../binlog/corrupt.ts';
import { fieldOf } from '../binlog/field.ts';
import type { Field, FieldSetting } from '../binlog/reading.ts';
import { RowImages } from '../binlog/rows.ts';
import type { LogColumn, LogTable } from '../binlog/table-map.ts';
import type { Relation } from '../catalog.ts';
import { implicitFill } from './fill.ts';
import { altered, guessed, type KnownColumn, type Lineage, named, numbered } from './lineage.ts';

export interface FollowedParts {
  /** Its name in the pipeline. */
  readonly table: string;
  readonly declared: RowSchema;
  /** The whole row before a change is told, not its key alone. */
  readonly wholeRows: boolean;
  /** As it is now, which may be ahead of the stream. */
  readonly catalog: Relation;
  /** Numbers of the declared columns, by name. */
  readonly numbers: Readonly<Record<string, number>>;
  /** At the place where the stream is read from. */
  readonly lineage: Lineage;
  /** Changes of transactions whose commit is before this are in its copy, and what became of the table until then. */
  readonly joinedAt: string;
}

export interface FollowedSetting {
  readonly charsets: Charsets;
  readonly isMariaDb: boolean;
  readonly zeroDates: ZeroDates;
}

export type ToldChange = Omit<SchemaChange, 'kind' | 'transaction' | 'ordinal'>;

/** How the rows of a table are read at a place of the stream. */
export interface TableReading {
  readonly shape: TableShape;
  /** Columns of the log that rows are made of; all of them must be there in an image that brings a new row. */
  readonly wanted: readonly number[];
  /** Of those the key; empty where the whole row before is told. */
  readonly key: readonly number[];
  readonly row: RowImages;
  /** The row before: its key, or all of it where there is no key. */
  readonly old: RowImages;
}

/** One table of the stream, at the place where the stream is: its columns, and how its rows are read. */
export class FollowedTable {
  readonly table: string;
  /** `shop.orders` */
  readonly name: string;
  readonly schema: string;
  readonly plainName: string;
  readonly joinedAt: string;
  readonly #wholeRows: boolean;
  readonly #declared: RowSchema;
  readonly #setting: FollowedSetting;
  readonly #numbers: Readonly<Record<string, number>>;
  readonly #joined: Readonly<Record<string, number>>;
  readonly #catalog: Relation;
  readonly #passed = new Set<number>();
  #lineage: Lineage;
  /** As they were handed on last, or are declared. */
  #columns: readonly StreamColumn[];
  /** Rows of it have come. */
  #isMapped = false;

  constructor({ table, declared, wholeRows, catalog, numbers, lineage, joinedAt }: FollowedParts, setting: FollowedSetting) {
    this.table = table;
    this.name = `${catalog.database}.${catalog.name}`;
    this.schema = catalog.database;
    this.plainName = catalog.name;
    this.joinedAt = joinedAt;
    this.#wholeRows = wholeRows;
    this.#declared = declared;
    this.#setting = setting;
    this.#catalog = catalog;
    this.#lineage = lineage;
    this.#joined = Object.fromEntries(lineage.joined.columns.map(({ name, number }) => [name, number]));
    this.#numbers = numbers;
    this.#columns = declaredStreamColumns(declared, this.#numbers);
  }

  /**
   * After an ALTER TABLE in the log. Names that are others now, and columns that have gone, are told at once: whoever begins to read behind it would
   * not know that there is something to tell. Null for nothing. What has come is told with the first row that has it, by the table map before it.
   *
   * @throws RESYNC_REQUIRED for columns that take one another's names
   */
  alter(steps: readonly ColumnStep[]): ToldChange | null {
    const drops = steps.flatMap((step) => (step.do === 'drop' ? this.#follow(step) : []));
    const renames = steps.flatMap((step) => (step.do === 'rename' ? [this.#follow(step)] : []));
    const changes = [...drops, ...oneByOne(this.name, renames)];
    this.#lineage = altered(this.#lineage, steps);
    if (changes.length === 0) return null;
    const key = keyAt(this.#declared, this.#numbers, this.#columns);
    const columns = this.#columns.map(({ column }) => column);
    return { table: this.table, schema: { columns, ...(key && { key }) }, changes };
  }

  /** A column may be one of which this reader has seen no row, and an earlier one has told: who does not have it takes no notice. */
  #follow(step: Extract<ColumnStep, { do: 'drop' | 'rename' }>): ColumnChange[] {
    const column = named(this.#lineage, step.do === 'drop' ? step.name : step.from);
    if (!column) return [];
    const { number, name } = column;
    const told = this.#columns.find((one) => one.number === number);
    if (!told && (Object.values(this.#joined).includes(number) || Object.values(this.#numbers).includes(number))) return [];
    // Declared under a name that comes later in the stream, and handed on under it: see `columnsAt`.
    const isAhead = told && this.#numbers[told.column.name] === number && this.#joined[told.column.name] !== number;
    if (isAhead && step.do === 'rename') return [];
    const known = isAhead ? told.column.name : name;
    this.#columns = this.#columns.flatMap((one) => {
      if (one !== told) return [one];
      return step.do === 'drop' ? [] : [{ ...one, column: { ...one.column, name: step.to } }];
    });
    return [
      ...(told && told.column.name !== known ? [{ change: 'rename', from: told.column.name, to: known } as const] : []),
      step.do === 'drop' ? { change: 'drop', name: known } : { change: 'rename', from: known, to: step.to },
    ];
  }

  /**
   * The columns that the next rows have. Answers how they are read; what changes for those who have the table (null for nothing); and what happened to
   * them that no statement in the log has told (null for nothing).
   *
   * @throws RESYNC_REQUIRED, UNSUPPORTED
   */
  map(log: LogTable): {
    readonly reading: TableReading;
    readonly change: ToldChange | null;
    readonly untold: readonly ColumnStep[] | null;
  } {
    if (!log.hasNames) {
      throw unfollowable(
        `Rows of ${this.name} are in the log without the names of their columns.`,
        'SET GLOBAL binlog_row_metadata = FULL, which holds for what is written from then on.',
        { table: this.table },
      );
    }
    const visible = this.#visible(log);
    const names = visible.map(({ name }) => name);
    let known = numbered(this.#lineage, names);
    let untold: readonly ColumnStep[] | null = null;
    let gone: readonly ColumnChange[] = [];
    if (!known) {
      untold = guessed(this.#lineage, names, this.name);
      gone = this.alter(untold)?.changes ?? [];
      known = numbered(this.#lineage, names);
    }
    const columns = known ?? [];
    const declaredAs = (place: number): ColumnType | null => {
      const number = columns[place]?.number;
      return this.#declared.columns.find(({ name }) => this.#numbers[name] === number)?.type ?? null;
    };
    const own = log.columns.map((column, place) => this.#fieldOf(column, columns[place], declaredAs(place)));
    const relation = visible.map(
      (column, place): SourceColumn => ({
        name: column.name,
        type: own[place]?.type ?? { kind: 'text' },
        typeOid: 0,
        modifier: 0,
        number: columns[place]?.number ?? 0,
        notNull: !column.isNullable,
        fill: this.#fillOf(columns[place]?.fill ?? null, column, own[place]),
      }),
    );
    const stream = columnsAt({
      declared: this.#declared,
      declaredNumbers: this.#numbers,
      joined: this.#joined,
      relation,
      known: relation,
      catalog: this.#numberedCatalog(),
      passed: this.#passed,
    });
    const changes = [...gone, ...columnChanges(this.name, this.#columns, stream)];
    const retold = !this.#isMapped;
    this.#isMapped = true;
    const key = keyAt(this.#declared, this.#numbers, stream);
    this.#columns = stream;
    for (const { name } of relation) if (this.#numbers[name] !== undefined) this.#passed.add(this.#numbers[name]);
    const reading = this.#reading(log, own, stream, key);
    return {
      reading,
      change: changes.length === 0 ? null : { table: this.table, schema: reading.shape.schema, changes, ...(retold && { retold }) },
      untold,
    };
  }

  /** Those that the server has made for itself come last: MariaDB keeps a hash of each long text that is unique. */
  #visible({ columns }: LogTable): readonly LogColumn[] {
    const isHidden = ({ name }: LogColumn): boolean => /^DB_ROW_HASH_\d+$/.test(name) && !named(this.#lineage, name);
    const first = this.#setting.isMariaDb ? columns.findIndex(isHidden) : -1;
    if (first < 0) return columns;
    if (!columns.slice(first).every(isHidden)) throw corrupt('a hidden column before one that is not', { table: this.table });
    return columns.slice(0, first);
  }

  /** Columns of the catalog as they are numbered here: those whose names are known at this place of the stream. */
  #numberedCatalog(): SourceColumn[] {
    return this.#catalog.columns.flatMap(({ name, type, notNull }) => {
      const number = this.#lineage.columns.find((column) => column.name === name)?.number;
      return number === undefined
        ? []
        : [{ name, type, typeOid: 0, modifier: 0, number, notNull, fill: { kind: 'constant', value: null } as const }];
    });
  }

  #fieldOf(column: LogColumn, known: KnownColumn | undefined, declared: ColumnType | null): Field | null {
    const { charsets, isMariaDb, zeroDates } = this.#setting;
    const shown = `${this.name}.${column.name}`;
    const catalog = this.#catalog.columns.find(({ name }) => name === column.name);
    const setting: FieldSetting = {
      shown,
      charsets,
      isMariaDb,
      catalogType: known?.type ?? (catalog ? logTypeOf(catalog) : null),
      zeroDate: (text) => {
        if (zeroDates === 'null' && column.isNullable) return;
        throw zeroDate(shown, text, zeroDates);
      },
    };
    try {
      return fieldOf(column, declared, setting);
    } catch (error) {
      // Nobody reads it. How long its values are is known of every type that has a length at all.
      if (declared !== null) throw error;
      return null;
    }
  }

  #fillOf(fill: Lineage['columns'][number]['fill'], column: LogColumn, field: Field | null | undefined): SourceColumn['fill'] {
    if (fill === null) return { kind: 'constant', value: null };
    if (fill.kind === 'computed') return fill;
    return implicitFill(fill, column, field?.type ?? { kind: 'text' }, this.#setting.charsets);
  }

  #reading(log: LogTable, own: readonly (Field | null)[], stream: readonly StreamColumn[], key: string[] | undefined): TableReading {
    const wanted = stream.flatMap(({ source }) => (source < 0 ? [] : [source]));
    const keys = (this.#wholeRows ? [] : (key ?? [])).flatMap((name) => stream.find(({ column }) => column.name === name)?.source ?? []);
    const isWanted = log.columns.map((_, place) => wanted.includes(place));
    const fields = own.map(
      (field, place) => field ?? passedOver(log.columns[place] as LogColumn, `${this.name}.${log.columns[place]?.name}`),
    );
    const isOfKey = log.columns.map((_, place) => keys.includes(place));
    // What nobody wants is not in the bytes either.
    const shape: TableShape = {
      ...tableShape({ table: this.table, key, columns: stream, sources: log.columns.map(() => true), binary: false }),
      whole: true,
    };
    return {
      shape,
      wanted,
      key: keys,
      row: new RowImages(fields, isWanted),
      old: new RowImages(fields, keys.length > 0 ? isOfKey : isWanted),
    };
  }
}

/** A column that nobody reads, and that could not be read: its bytes as they are. @throws UNSUPPORTED where not even its length is known */
function passedOver(column: LogColumn, shown: string): Field {
  const charsets: Charsets = {
    nameOf: () => 'utf8mb4',
    tableOf: () => undefined,
    wideOf: () => undefined,
    load: () => null,
    widthOf: () => 1,
  };
  return fieldOf({ ...column, collation: 63 }, null, { shown, charsets, isMariaDb: true, zeroDate: () => {}, catalogType: null });
}

/** What a column of the catalog is, by which rows of the log are read: MariaDB calls its JSON a text with a condition. */
export const logTypeOf = ({ type, dataType }: Relation['columns'][number]): string => (type.kind === 'json' ? 'json' : dataType);

function zeroDate(column: string, text: string, zeroDates: ZeroDates): MillraceError {
  return new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `${column} has the value ${text}, which is no day.`,
    remedy:
      zeroDates === 'null'
        ? 'It would be read as NULL: declare the column orNull(), and let it be NULL at the source.'
        : `Read zero dates as NULL with mysql({ …, zeroDates: 'null' }) and orNull(); or correct them at the source, and copy the table again.`,
    facts: { column, value: text },
  });
}
