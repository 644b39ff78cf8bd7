import { corrupt } from './corrupt.ts';
import { Cursor } from './cursor.ts';
import type { LogEvent } from './event.ts';

/*
 * What a TABLE_MAP event says of a table: the types of its columns, and with binlog_row_metadata=FULL their names, signs, character sets and labels.
 * Source: https://dev.mysql.com/doc/dev/mysql-server/latest/classbinary__log_1_1Table__map__event.html
 */

/** Types as they stand in rows. */
export const fieldTypes = {
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  timestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  time: 11,
  datetime: 12,
  year: 13,
  varchar: 15,
  bit: 16,
  timestamp2: 17,
  datetime2: 18,
  time2: 19,
  // COMPRESSED columns of MariaDB
  blobCompressed: 140,
  varcharCompressed: 141,
  vector: 242,
  json: 245,
  decimal: 246,
  enum: 247,
  set: 248,
  blob: 252,
  varString: 253,
  string: 254,
  geometry: 255,
} as const;

export interface LogColumn {
  /** Empty where the log has no names. */
  readonly name: string;
  /** One of `fieldTypes`. */
  readonly type: number;
  /** Bytes, characters, decimals or precision: what the type needs to be read. */
  readonly size: number;
  readonly scale: number;
  readonly isUnsigned: boolean;
  /** The number of its collation; 63 is binary. Null for types without one, or where the log does not say. */
  readonly collation: number | null;
  /** Of an enum or set, in the column's character set. */
  readonly labels: readonly Buffer[] | null;
  readonly isNullable: boolean;
}

export interface LogTable {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly LogColumn[];
  /** False where the columns have no names: binlog_row_metadata was not FULL. */
  readonly hasNames: boolean;
}

const tableIdBytes = 6;

/** The number under which rows name it. */
export const tableId = ({ bytes, start }: LogEvent): number => bytes.readUIntLE(start, tableIdBytes);

/** Its names alone. */
export function tableName({ bytes, start, end }: LogEvent): { readonly schema: string; readonly name: string } {
  const cursor = new Cursor(bytes, start + tableIdBytes + 2, end);
  const schema = cursor.text(cursor.uint(1));
  cursor.uint(1);
  return { schema, name: cursor.text(cursor.uint(1)) };
}

/** @throws WIRE_CORRUPT */
export function readTableMap({ bytes, start, end }: LogEvent, isMariaDb: boolean): LogTable {
  const cursor = new Cursor(bytes, start + tableIdBytes + 2, end);
  const schema = cursor.text(cursor.uint(1));
  cursor.uint(1);
  const name = cursor.text(cursor.uint(1));
  cursor.uint(1);
  const count = cursor.packed();
  const types = [...cursor.slice(count)];
  const sizeBytes = cursor.packed();
  const from = cursor.take(sizeBytes);
  const physical = readSizes(new Cursor(bytes, from, from + sizeBytes), types);
  const nulls = cursor.slice((count + 7) >> 3);
  const more = readMore(cursor, physical, isMariaDb);
  return {
    schema,
    name,
    hasNames: more.names.length === count,
    columns: physical.map((column, place) => ({
      ...column,
      name: more.names[place] ?? '',
      isUnsigned: more.unsigned.has(place),
      collation: more.collations.get(place) ?? null,
      labels: more.labels.get(place) ?? null,
      isNullable: (nulls[place >> 3]! & (1 << (place & 7))) !== 0,
    })),
  };
}

type Physical = Pick<LogColumn, 'type' | 'size' | 'scale'>;

function readSizes(cursor: Cursor, types: readonly number[]): Physical[] {
  const columns = types.map((type): Physical => {
    switch (type) {
      case fieldTypes.float:
      case fieldTypes.double:
      case fieldTypes.blob:
      case fieldTypes.blobCompressed:
      case fieldTypes.geometry:
      case fieldTypes.json:
      case fieldTypes.vector:
      case fieldTypes.timestamp2:
      case fieldTypes.datetime2:
      case fieldTypes.time2:
        return { type, size: cursor.uint(1), scale: 0 };
      case fieldTypes.varchar:
      case fieldTypes.varcharCompressed:
        return { type, size: cursor.uint(2), scale: 0 };
      case fieldTypes.bit: {
        const bits = cursor.uint(1);
        return { type, size: cursor.uint(1) * 8 + bits, scale: 0 };
      }
      case fieldTypes.decimal: {
        const size = cursor.uint(1);
        return { type, size, scale: cursor.uint(1) };
      }
      case fieldTypes.string:
      case fieldTypes.varString: {
        // Two bits of a length above 255 are turned and stand in the byte of the real type.
        const [real, size] = [cursor.uint(1), cursor.uint(1)];
        if (real === fieldTypes.enum || real === fieldTypes.set) return { type: real, size, scale: 0 };
        return { type: fieldTypes.string, size: ((real & 0x30) ^ 0x30) * 16 + size, scale: 0 };
      }
      default:
        return { type, size: 0, scale: 0 };
    }
  });
  if (cursor.left > 0) throw corrupt('a table whose columns have sizes that nobody knows', { types });
  return columns;
}

/** Fields that come after what every table map has. */
const moreFields = {
  signs: 1,
  defaultCollation: 2,
  collations: 3,
  names: 4,
  setLabels: 5,
  enumLabels: 6,
  labelsDefaultCollation: 10,
  labelsCollations: 11,
} as const;

const numbers = new Set<number>([
  fieldTypes.tiny,
  fieldTypes.short,
  fieldTypes.int24,
  fieldTypes.long,
  fieldTypes.longlong,
  fieldTypes.decimal,
  fieldTypes.float,
  fieldTypes.double,
  fieldTypes.year,
]);
const characterTypes = new Set<number>([
  fieldTypes.varchar,
  fieldTypes.string,
  fieldTypes.blob,
  fieldTypes.blobCompressed,
  fieldTypes.varcharCompressed,
  // Binary, and counted among them all the same.
  fieldTypes.vector,
]);

interface More {
  readonly names: string[];
  readonly unsigned: Set<number>;
  readonly collations: Map<number, number>;
  readonly labels: Map<number, Buffer[]>;
}

function readMore(cursor: Cursor, columns: readonly Physical[], isMariaDb: boolean): More {
  const more: More = { names: [], unsigned: new Set(), collations: new Map(), labels: new Map() };
  const places = (isOne: (type: number) => boolean): number[] => columns.flatMap(({ type }, place) => (isOne(type) ? [place] : []));
  // A shape is a blob with a character set to MariaDB, and none to MySQL.
  const characters = places((type) => characterTypes.has(type) || (isMariaDb && type === fieldTypes.geometry));
  const labelled = places((type) => type === fieldTypes.enum || type === fieldTypes.set);
  while (cursor.left > 0) {
    const kind = cursor.uint(1);
    const length = cursor.packed();
    const at = cursor.take(length);
    const field = new Cursor(cursor.bytes, at, at + length);
    switch (kind) {
      case moreFields.signs:
        places((type) => numbers.has(type)).forEach((place, bit) => {
          const byte = field.bytes[at + (bit >> 3)]!;
          if ((byte & (0x80 >> (bit & 7))) !== 0) more.unsigned.add(place);
        });
        break;
      case moreFields.defaultCollation:
        readDefaultCollation(field, characters, more.collations);
        break;
      case moreFields.labelsDefaultCollation:
        readDefaultCollation(field, labelled, more.collations);
        break;
      case moreFields.collations:
        readCollations(field, characters, more.collations);
        break;
      case moreFields.labelsCollations:
        readCollations(field, labelled, more.collations);
        break;
      case moreFields.names:
        while (field.left > 0) more.names.push(field.packedText());
        break;
      case moreFields.setLabels:
        readLabels(
          field,
          places((type) => type === fieldTypes.set),
          more.labels,
        );
        break;
      case moreFields.enumLabels:
        readLabels(
          field,
          places((type) => type === fieldTypes.enum),
          more.labels,
        );
        break;
      default: // keys, kinds of geometry, visibility: nothing that is needed to read rows
    }
  }
  return more;
}

/** One collation for all, and those that have another. */
function readDefaultCollation(field: Cursor, places: readonly number[], into: Map<number, number>): void {
  const usual = field.packed();
  for (const place of places) into.set(place, usual);
  while (field.left > 0) {
    const place = places[field.packed()];
    const collation = field.packed();
    if (place !== undefined) into.set(place, collation);
  }
}

function readCollations(field: Cursor, places: readonly number[], into: Map<number, number>): void {
  for (const place of places) if (field.left > 0) into.set(place, field.packed());
}

function readLabels(field: Cursor, places: readonly number[], into: Map<number, Buffer[]>): void {
  for (const place of places) {
    if (field.left === 0) return;
    // The bytes of an event are used no longer than the event, and labels are.
    const labels = Array.from({ length: field.packed() }, () => Buffer.from(field.slice(field.packed())));
    into.set(place, labels);
  }
}
