import { baseType, type ColumnSchema, type ColumnType, fidelity, sameType } from '@millrace/core/runtime';
import { isPortable } from './binary/form.ts';

/**
 * True where rows written by COPY BINARY for `from` can be read as they are by a COPY into columns `to`: the same number of columns
 * in the same order, each with the same bytes for the same value and room for every value.
 */
export function pgSameShape(from: readonly ColumnSchema[], to: readonly ColumnSchema[]): boolean {
  return from.length === to.length && from.every(({ type }, at) => sameBytes(type, to[at]!.type));
}

const characters = new Set(['text', 'varchar', 'char', 'enum', 'json']);

function sameBytes(from: ColumnType, to: ColumnType): boolean {
  const a = baseType(from);
  const b = baseType(to);
  if (!isPortable(a) || !isPortable(b)) return false;
  if (sameType(a, b)) return true;
  if (fidelity(a, b) === 'lossy') return false;
  // Text types are their text; a numeric is rescaled and a time keeps its decimals as it is read.
  if (b.kind === 'text' || b.kind === 'varchar') return characters.has(a.kind);
  if (a.kind === 'array' && b.kind === 'array') return a.of.kind === b.of.kind;
  return a.kind === b.kind || (a.kind === 'bit' && b.kind === 'varbit');
}
