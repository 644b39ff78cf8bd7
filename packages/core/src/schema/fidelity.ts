import { baseType, type ColumnSchema, type ColumnType, sameType, typeName } from './column-type.ts';

/** What happens to values on an edge from one column type to another. A lossy edge must be asked for with `cast`. */
export type Fidelity = 'exact' | 'widening' | 'lossy';

const integerRank: Partial<Record<string, number>> = { int2: 1, int4: 2, int8: 3 };
/** Decimal digits that every value of an integer type fits in. */
const integerDigits: Record<string, number> = { int2: 5, int4: 10, int8: 19 };

/** How values of `from` fare in `to`: to the letter, in a wider type, or with a possible change. */
export function fidelity(from: ColumnType, to: ColumnType): Fidelity {
  const a = baseType(from);
  const b = baseType(to);
  if (sameType(a, b)) return 'exact';
  if (a.kind === 'array' || b.kind === 'array')
    return a.kind === b.kind ? fidelity((a as ArrayType).of, (b as ArrayType).of) : b.kind === 'text' ? 'widening' : 'lossy';
  if (b.kind === 'text' || (b.kind === 'varchar' && b.length === undefined)) return 'widening';
  if (b.kind === 'varchar' || b.kind === 'char') return textFits(a, b) ? 'widening' : 'lossy';
  if (b.kind === 'numeric') return numericFits(a, b) ? 'widening' : 'lossy';
  const fromRank = integerRank[a.kind];
  if (fromRank !== undefined) {
    const toRank = integerRank[b.kind];
    if (toRank !== undefined) return fromRank < toRank ? 'widening' : 'lossy';
    // 2^24 and 2^53 bound what the floats hold exactly.
    if (b.kind === 'float8') return fromRank < 3 ? 'widening' : 'lossy';
    if (b.kind === 'float4') return fromRank < 2 ? 'widening' : 'lossy';
  }
  if (a.kind === 'float4' && b.kind === 'float8') return 'widening';
  if (isClock(a) && a.kind === b.kind) return (a.precision ?? 6) <= ((b as ClockType).precision ?? 6) ? 'widening' : 'lossy';
  if (a.kind === 'bit' && b.kind === 'varbit') return b.length === undefined || a.length <= b.length ? 'widening' : 'lossy';
  if (a.kind === 'varbit' && b.kind === 'varbit')
    return b.length === undefined || (a.length !== undefined && a.length <= b.length) ? 'widening' : 'lossy';
  if (a.kind === 'enum' && b.kind === 'enum') return a.labels.every((label) => b.labels.includes(label)) ? 'widening' : 'lossy';
  if (a.kind === 'cidr' && b.kind === 'inet') return 'widening';
  return 'lossy';
}

type ArrayType = Extract<ColumnType, { kind: 'array' }>;
type ClockType = Extract<ColumnType, { kind: 'time' | 'timetz' | 'timestamp' | 'timestamptz' }>;

const isClock = (type: ColumnType): type is ClockType => ['time', 'timetz', 'timestamp', 'timestamptz'].includes(type.kind);

function textFits(from: ColumnType, to: Extract<ColumnType, { kind: 'varchar' | 'char' }>): boolean {
  if (to.length === undefined) return true;
  if (to.kind === 'char') return false;
  if (from.kind === 'varchar' || from.kind === 'char') return from.length !== undefined && from.length <= to.length;
  if (from.kind === 'enum') return from.labels.every((label) => [...label].length <= (to.length ?? Number.POSITIVE_INFINITY));
  return from.kind === 'uuid' && to.length >= 36;
}

function numericFits(from: ColumnType, to: Extract<ColumnType, { kind: 'numeric' }>): boolean {
  const digits = integerDigits[from.kind];
  if (digits !== undefined) return to.precision === undefined || to.precision - (to.scale ?? 0) >= digits;
  if (from.kind !== 'numeric') return false;
  if (to.precision === undefined) return true;
  if (from.precision === undefined) return false;
  const fromScale = from.scale ?? 0;
  const toScale = to.scale ?? 0;
  return toScale >= fromScale && to.precision - toScale >= from.precision - fromScale;
}

/** One column on its way from a step to the next. */
export interface ColumnEdge {
  readonly column: string;
  readonly from: string;
  readonly to: string;
  readonly fidelity: Fidelity;
  /** Why it is lossy, where it is. */
  readonly reason?: string;
}

/** How rows of `from` fare in `to`, column by column by name. Columns that `to` lacks are not edges: see `schemaProblems`. */
export function edges(from: readonly ColumnSchema[], to: readonly ColumnSchema[]): ColumnEdge[] {
  const sources = new Map(from.map((column) => [column.name, column]));
  return to.flatMap((target) => {
    const source = sources.get(target.name);
    if (!source) return [];
    const kept = fidelity(source.type, target.type);
    const reason = kept === 'lossy' ? `${typeName(source.type)} does not always fit ${typeName(target.type)}` : undefined;
    return [{ column: target.name, from: typeName(source.type), to: typeName(target.type), fidelity: kept, ...(reason && { reason }) }];
  });
}
