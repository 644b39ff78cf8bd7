import type { InputFile } from './files-to-csv.ts';
import type { CsvDialect } from './read-sql.ts';
import { corrupt, textOf } from './text-file.ts';

/** A header is longer than this only where the file is none. */
const mostBytes = 1024 * 1024;

/** The names in the first row, or null where the file is empty. @throws FILE_CORRUPT where a name stands twice */
export async function headerNames(file: InputFile, dialect: CsvDialect, signal: AbortSignal): Promise<readonly string[] | null> {
  let text = '';
  for await (const chunk of textOf(file, signal)) {
    text += chunk.toString('latin1');
    if (firstRow(text, dialect) !== null || text.length > mostBytes) break;
  }
  if (text === '') return null;
  const names = (firstRow(text, dialect) ?? fieldsOf(text, dialect).fields).map((name) => Buffer.from(name, 'latin1').toString('utf8'));
  const twice = names.find((name, place) => names.indexOf(name) !== place);
  if (twice !== undefined) throw corrupt(file, `two columns are named "${twice}"`);
  return names;
}

function firstRow(text: string, dialect: CsvDialect): string[] | null {
  const { fields, ended } = fieldsOf(text, dialect);
  return ended ? fields : null;
}

/** Fields up to the first line end outside of quotes. */
function fieldsOf(text: string, { delimiter, quote, escape: escaping }: CsvDialect): { fields: string[]; ended: boolean } {
  const fields: string[] = [];
  let field = '';
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (quoted) {
      if (character === escaping && (text[at + 1] === quote || escaping !== quote)) {
        if (text[at + 1] !== undefined) field += text[++at];
      } else if (character === quote) quoted = false;
      else field += character;
    } else if (character === quote && field === '') quoted = true;
    else if (character === delimiter) {
      fields.push(field);
      field = '';
    } else if (character === '\n') return { fields: [...fields, field], ended: true };
    else if (character !== '\r') field += character;
  }
  return { fields: [...fields, field], ended: false };
}
