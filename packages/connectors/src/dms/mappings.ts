import { isMillraceError, MillraceError, nameParts, type Table } from '@millrace/core/runtime';

/** Of a table: how DMS calls it, and where its files are. */
export interface TablePlace {
  readonly schema: string;
  readonly table: string;
}

export interface MappingOptions {
  /** False where changes are put in order by the time of their commit only. */
  readonly sequence: boolean;
  /** Adds the key as it was before an update. False by default. */
  readonly keyBefore?: boolean;
  /** Kilobytes at which a large value of these tables is cut, where it is not the task's. */
  readonly lobKilobytes?: Readonly<Record<string, number>>;
}

/** The column that the mappings add: DMS's own number of a change, rising. */
export const sequenceColumn = 'dms_change_seq';

/** The column that the mappings add for a column of the key: what it was before an update. */
export const beforeColumn = (name: string): string => `dms_before_${name}`;

/**
 * `TableMappings` of the task: exactly the tables named, since `explicit` takes a name to the letter where `include` would take `%` for a
 * wildcard; and columns more for all of them: one by which changes can be told apart when they come twice or late, and the key before an update.
 */
export function tableMappings(
  tables: Readonly<Record<string, Pick<Table, 'name'>>>,
  options: MappingOptions,
): { readonly rules: readonly object[] } {
  let id = 0;
  const numbered = <Rule extends object>(rule: Rule): object => {
    id++;
    return { ...rule, 'rule-id': String(id), 'rule-name': `millrace-${id}` };
  };
  const locator = ({ schema, table }: TablePlace): object => ({ 'schema-name': schema, 'table-name': table });
  const selections = Object.values(tables).map(({ name }) =>
    numbered({ 'rule-type': 'selection', 'rule-action': 'explicit', 'object-locator': locator(placeOfTable(name)), filters: [] }),
  );
  const sequence = options.sequence
    ? [
        numbered({
          'rule-type': 'transformation',
          'rule-target': 'column',
          'rule-action': 'add-column',
          'object-locator': { 'schema-name': '%', 'table-name': '%' },
          value: sequenceColumn,
          expression: '$AR_H_CHANGE_SEQ',
          'data-type': { type: 'string', length: 50 },
        }),
      ]
    : [];
  const keys = options.keyBefore
    ? [
        numbered({
          'rule-type': 'transformation',
          'rule-target': 'column',
          'rule-action': 'add-before-image-columns',
          'object-locator': { 'schema-name': '%', 'table-name': '%' },
          'before-image-def': { 'column-filter': 'pk-only', 'column-prefix': beforeColumn('') },
        }),
      ]
    : [];
  const lobs = Object.entries(options.lobKilobytes ?? {}).map(([name, kilobytes]) => {
    const table = Object.hasOwn(tables, name) ? tables[name] : undefined;
    if (!table)
      throw new MillraceError('PIPELINE_INVALID', {
        message: `dms(): lobKilobytes names "${name}", which is not captured.`,
        remedy: `Its tables are ${Object.keys(tables).join(', ')}.`,
      });
    return numbered({
      'rule-type': 'table-settings',
      'object-locator': locator(placeOfTable(table.name)),
      'lob-settings': { mode: 'limited', 'bulk-max-size': String(kilobytes) },
    });
  });
  return { rules: [...selections, ...sequence, ...keys, ...lobs] };
}

/** `public.orders`; a name without a schema is in `public`. @throws PIPELINE_INVALID */
export function placeOfTable(name: string): TablePlace {
  const [first, second, ...more] = nameParts(name) ?? [];
  // In folders a slash would make one table out of two.
  if (first && second !== '' && more.length === 0 && !/[\0\r\n/]/.test(name))
    return second === undefined ? { schema: 'public', table: first } : { schema: first, table: second };
  throw new MillraceError('PIPELINE_INVALID', {
    message: `${JSON.stringify(name)} is no name of a table that DMS can be told.`,
    remedy: "Name it with its schema: 'public.orders'.",
  });
}

/** True where both JSON texts mean the same selection and columns; ids, names and the order of the rules do not matter. */
export function sameMappings(a: string, b: string): boolean {
  const rules = (text: string): string[] => {
    const parsed = JSON.parse(text) as { rules?: Record<string, unknown>[] };
    return (parsed.rules ?? []).map(({ 'rule-id': _id, 'rule-name': _name, ...rule }) => stable(rule)).sort();
  };
  try {
    return rules(a).join('\n') === rules(b).join('\n');
  } catch (error) {
    if (isMillraceError(error)) throw error;
    return false;
  }
}

/** JSON with its names in order; empty lists and nulls that DMS adds are left out. */
function stable(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => {
    if (typeof one !== 'object' || one === null || Array.isArray(one)) return one;
    return Object.fromEntries(
      Object.entries(one)
        .filter(([, inner]) => inner !== null && !(Array.isArray(inner) && inner.length === 0))
        .sort(([x], [y]) => (x < y ? -1 : 1)),
    );
  });
}
