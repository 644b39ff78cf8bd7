import { type ColumnType, MillraceError, typeName } from '@millrace/core/runtime';
import { quoteName } from '../identifier.ts';

/** The type as DDL writes it: names of the database's own types quoted, so that no name can be more than a name. */
export function sqlType(type: ColumnType): string {
  switch (type.kind) {
    case 'enum':
    case 'domain':
    case 'range':
      return quoteName(type.name);
    case 'array':
      return `${sqlType(type.of)}[]`;
    case 'other':
      return otherType(type.name);
    default:
      return typeName(type);
  }
}

/** As the catalog prints a type: `xml`, `public.geometry(Point,4326)`, `"my type"`. Nothing that could end the word and begin another. */
const printedType = /^(?:[a-z_][\w$]*|"(?:[^"\0]|"")+")(?:\.(?:[a-z_][\w$]*|"(?:[^"\0]|"")+"))?(?: [a-z]+)*(?:\([\w ,-]*\))?$/i;

function otherType(name: string): string {
  if (printedType.test(name)) return name;
  throw new MillraceError('IDENTIFIER_INVALID', {
    message: `${JSON.stringify(name.slice(0, 80))} is not the name of a type.`,
    remedy: 'Write it as format_type() prints it: schema.type, names with other characters between double quotes.',
  });
}
