import type { ColumnType } from '@millrace/core/runtime';
import { type CatalogTypes, columnType, readTypes } from '../catalog-type.ts';
import type { Session } from '../client.ts';
import type { Relation } from '../replication/relation.ts';
import type { NamedColumn } from './stream-columns.ts';

/** Types of the source by OID, as far as somebody has asked for them. */
export class SourceTypes {
  readonly #session: () => Promise<Session>;
  readonly #asked = new Set<number>();
  readonly #printed = new Map<string, ColumnType>();
  #types: CatalogTypes = new Map();

  constructor(session: () => Promise<Session>) {
    this.#session = session;
  }

  knows(oids: readonly number[]): boolean {
    return oids.every((oid) => this.#asked.has(oid));
  }

  /** A type that is no more at the source stays unknown: its values are taken as text. */
  async learn(oids: readonly number[]): Promise<void> {
    const missing = oids.filter((oid) => !this.#asked.has(oid));
    if (missing.length === 0) return;
    this.#types = new Map([...this.#types, ...(await readTypes(await this.#session(), missing.map(String)))]);
    for (const oid of missing) this.#asked.add(oid);
  }

  /** They have changed under their numbers, and are to be learned again. */
  forget(oids: readonly number[]): void {
    for (const oid of oids) this.#asked.delete(oid);
  }

  /** Columns as the catalog has them: it alone can print the modifiers of types that Millrace knows nothing about (`vector(3)`). */
  remember(columns: readonly NamedColumn[]): void {
    for (const { typeOid, modifier, type } of columns) this.#printed.set(`${typeOid}/${modifier}`, type);
  }

  columns(relation: Relation): NamedColumn[] {
    return relation.columns.map(({ name, typeOid, typmod }) => ({ name, type: this.type(typeOid, typmod), typeOid, modifier: typmod }));
  }

  type(oid: number, modifier: number): ColumnType {
    const type = columnType(this.#types, String(oid), modifier, this.#types.get(String(oid))?.sql ?? `type ${oid}`);
    return isOther(type) ? (this.#printed.get(`${oid}/${modifier}`) ?? type) : type;
  }
}

const isOther = (type: ColumnType): boolean => type.kind === 'other' || (type.kind === 'array' && isOther(type.of));
