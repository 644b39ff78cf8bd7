import type { ColumnType, Table } from '@millrace/core/runtime';
import { isIdentifier, propertyName, reservedWords, stringLiteral } from './literal.ts';

/**
 * The tables as TypeScript: one `export const` each, enums and domains once above them, importing only what is used. The same
 * tables give the same text, in whatever order they come.
 */
export function declarations(tables: readonly Table[]): string {
  const sorted = [...tables].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const types = namedTypes(sorted);
  const imports = new Set<string>(['table']);
  const taken = new Set<string>([...reservedWords, ...columnFunctions]);
  const tableNames = new Map(sorted.map((table) => [table, chooseName(candidates(table.name), taken)]));
  const typeNames = new Map([...types.keys()].map((key) => [key, chooseName(candidates((types.get(key) as NamedType).name), taken)]));

  const write = (type: ColumnType, named = true): string => {
    const constant = named && isNamed(type) ? typeNames.get(keyOf(type)) : undefined;
    return constant ?? expression(type, imports, write);
  };
  const constants = [...types].map(([key, type]) => `const ${typeNames.get(key)} = ${write(type, false)};`);
  const exported = sorted.map((table) => tableSource(table, tableNames.get(table) as string, write));
  const header = `import { ${[...imports].sort().join(', ')} } from '@millrace/core';`;
  return `${[header, ...(constants.length > 0 ? [constants.join('\n')] : []), ...exported].join('\n\n')}\n`;
}

type NamedType = Extract<ColumnType, { kind: 'enum' | 'domain' }>;

const isNamed = (type: ColumnType): type is NamedType => type.kind === 'enum' || type.kind === 'domain';
const keyOf = (type: ColumnType): string => JSON.stringify(type);

/** Enums and domains, those a domain is made of before it. */
function namedTypes(tables: readonly Table[]): Map<string, NamedType> {
  const found = new Map<string, NamedType>();
  const visit = (type: ColumnType): void => {
    if (type.kind === 'array' || type.kind === 'domain') visit(type.of);
    if (isNamed(type)) found.set(keyOf(type), type);
  };
  for (const table of tables) for (const column of table.columns) visit(column.type);
  return found;
}

function tableSource(table: Table, name: string, write: (type: ColumnType) => string): string {
  const columns = table.columns.map(
    (column) => `  ${propertyName(column.name)}: ${write(column.type)}${column.nullable ? '.orNull()' : ''},`,
  );
  const options = [
    ...(table.key && table.key.length > 0 ? [`key: [${table.key.map(stringLiteral).join(', ')}]`] : []),
    ...(table.redshift ? [`redshift: ${placement(table.redshift)}`] : []),
  ];
  return [
    `export const ${name} = table(${stringLiteral(table.name)}, {`,
    ...columns,
    options.length > 0 ? `}, { ${options.join(', ')} });` : '});',
  ].join('\n');
}

function placement({ distKey, distStyle, sortKey }: NonNullable<Table['redshift']>): string {
  const fields = [
    ...(distKey === undefined ? [] : [`distKey: ${stringLiteral(distKey)}`]),
    ...(distStyle === undefined ? [] : [`distStyle: ${stringLiteral(distStyle)}`]),
    ...(sortKey === undefined ? [] : [`sortKey: [${sortKey.map(stringLiteral).join(', ')}]`]),
  ];
  return `{ ${fields.join(', ')} }`;
}

/** The call that makes a column of the type: `numeric(12, 2)`, `array(int4())`. */
function expression(type: ColumnType, imports: Set<string>, write: (type: ColumnType) => string): string {
  const call = (name: string, ...args: (string | number | undefined)[]): string => {
    imports.add(name);
    return `${name}(${args.filter((arg) => arg !== undefined).join(', ')})`;
  };
  switch (type.kind) {
    case 'numeric':
      return call('numeric', type.precision, type.precision !== undefined && type.scale ? type.scale : undefined);
    case 'varchar':
    case 'varbit':
    case 'char':
    case 'bit':
      return call(type.kind, type.length);
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz':
      return call(type.kind, type.precision);
    case 'enum':
      return call('enumeration', stringLiteral(type.name), `[${type.labels.map(stringLiteral).join(', ')}]`);
    case 'domain':
      return call('domain', stringLiteral(type.name), write(type.of));
    case 'array':
      return call('array', write(type.of));
    case 'range':
    case 'other':
      return call(type.kind, stringLiteral(type.name));
    default:
      return call(type.kind);
  }
}

/** What a declaration file may import: no constant takes one of these names. */
const columnFunctions = (
  'array bit bool bytea char cidr date domain enumeration float4 float8 inet int2 int4 int8 interval json jsonb macaddr macaddr8 numeric other ' +
  'range table text time timestamp timestamptz timetz uuid varbit varchar'
).split(' ');

/** `public.order_items`: `orderItems`, or `publicOrderItems` where that is taken. */
function candidates(name: string): string[] {
  const parts = name.split('.').map((part) => part.replace(/^"|"$/g, ''));
  const last = camelCase(parts.at(-1) ?? '');
  const whole = camelCase(parts.join('_'));
  return [last, whole, `${last}Table`];
}

function camelCase(name: string): string {
  const words = name.split(/[^\p{ID_Continue}]+|_+/u).filter(Boolean);
  const joined = words
    .map((word, index) => (index === 0 ? word.charAt(0).toLowerCase() : word.charAt(0).toUpperCase()) + word.slice(1))
    .join('');
  return isIdentifier(joined) ? joined : `t${joined}`;
}

function chooseName(wanted: readonly string[], taken: Set<string>): string {
  const free = wanted.find((name) => !taken.has(name)) ?? numbered(wanted[0] ?? 't', taken);
  taken.add(free);
  return free;
}

function numbered(name: string, taken: ReadonlySet<string>): string {
  let number = 2;
  while (taken.has(`${name}${number}`)) number++;
  return `${name}${number}`;
}
