import { cut, type Fields } from './fields.ts';

/** A table as the messages after it have it. Sent before its first row on a connection, and again when it has changed. */
export interface Relation {
  readonly oid: number;
  readonly namespace: string;
  readonly name: string;
  readonly identity: ReplicaIdentity;
  readonly columns: readonly RelationColumn[];
}

export type ReplicaIdentity = 'default' | 'nothing' | 'full' | 'index';

export interface RelationColumn {
  readonly name: string;
  /** Part of the replica identity; with `full`, every column is. */
  readonly key: boolean;
  readonly typeOid: number;
  readonly typmod: number;
}

/** A type beyond the built-in ones, sent before the relation that uses it. A domain says the name of its base type. */
export interface NamedType {
  readonly oid: number;
  readonly namespace: string;
  readonly name: string;
}

/** Postgres leaves out the name of its own namespace. */
const catalog = 'pg_catalog';

const identities: Readonly<Record<string, ReplicaIdentity>> = { d: 'default', n: 'nothing', f: 'full', i: 'index' };

export function readRelation(fields: Fields): Relation {
  const oid = fields.uint32();
  const namespace = fields.text() || catalog;
  const name = fields.text();
  const letter = String.fromCharCode(fields.uint8());
  const identity = identities[letter];
  if (!identity) throw cut(`a replica identity "${letter}"`);
  const columns: RelationColumn[] = [];
  for (let left = fields.uint16(); left > 0; left--) {
    const flags = fields.uint8();
    columns.push({ key: (flags & 1) === 1, name: fields.text(), typeOid: fields.uint32(), typmod: fields.int32() });
  }
  return { oid, namespace, name, identity, columns };
}

export const readType = (fields: Fields): NamedType => ({
  oid: fields.uint32(),
  namespace: fields.text() || catalog,
  name: fields.text(),
});
