import { baseType, type ColumnType } from '@millrace/core/runtime';

/**
 * How a column stands in COPY BINARY: in Postgres's own binary form, or as text, where that form cannot be read here (`other`,
 * ranges) or means something else on another server (enums by OID within arrays).
 *
 * Text types, json and enums are their text in both; they count as native.
 */
export type Form = 'native' | 'text';

export function formOf(type: ColumnType): Form {
  const base = baseType(type);
  if (base.kind === 'other' || base.kind === 'range') return 'text';
  if (base.kind === 'array') return elementOid(base.of) === undefined ? 'text' : 'native';
  return 'native';
}

/** OIDs of built-in types never change. Source: src/include/catalog/pg_type.dat. */
const oids: Partial<Record<ColumnType['kind'], number>> = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  json: 114,
  cidr: 650,
  float4: 700,
  float8: 701,
  macaddr8: 774,
  macaddr: 829,
  inet: 869,
  char: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  bit: 1560,
  varbit: 1562,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
};

/** The OID that the binary form of an array of such elements holds; undefined where it differs from server to server. */
export function elementOid(element: ColumnType): number | undefined {
  // An array of a domain names the domain, not what it is made of.
  return oids[element.kind];
}

/** Ranges that every Postgres has. Their binary form holds no OID, so it may pass untouched between equal types. */
const builtInRanges = new Set([
  'int4range',
  'int8range',
  'numrange',
  'tsrange',
  'tstzrange',
  'daterange',
  'int4multirange',
  'int8multirange',
  'nummultirange',
  'tsmultirange',
  'tstzmultirange',
  'datemultirange',
]);

/** True where the bytes of the type mean the same on every server, so that they may pass from one to another unread. */
export function isPortable(type: ColumnType): boolean {
  const base = baseType(type);
  return base.kind === 'range' ? builtInRanges.has(base.name) : formOf(base) === 'native';
}
