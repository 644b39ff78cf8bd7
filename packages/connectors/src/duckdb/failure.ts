import { MillraceError } from '@millrace/core/runtime';
import { type Refusal, refusalPattern } from './sql.ts';

/** What DuckDB said, as an error of ours. Lines of data that it quotes are left out of the message: they may hold anything. */
export function statementFailure(message: string): MillraceError {
  const error = explained(message);
  // Our own name of the file, in the spool: who reads files puts the user's in its place.
  const file = /\bfile(?: =)? ["']?([\w-]+\.(?:csv|jsonl|parquet))\b/.exec(message)?.[1];
  return file ? new MillraceError(error.code, { message: error.message, remedy: error.remedy, facts: { ...error.facts, file } }) : error;
}

function explained(message: string): MillraceError {
  const refused = refusalPattern.exec(message);
  if (refused) return refusal(refused[1] as Refusal, refused[2]!, refused[3]!, refused[4]!);

  const line = /CSV Error on Line: (\d+)/.exec(message)?.[1];
  const converted = /Error when converting column "([^"]*)"\. Could not convert string "([\s\S]*?)" to '([^']*)'/.exec(message);
  if (converted) return refusal('mismatch', converted[1]!, converted[3]!, converted[2]!.slice(0, 100), line);
  if (/Maximum line size of (\d+)|line size.*exceed/i.test(message)) {
    return rowTooLong();
  }
  if (line !== undefined) return corrupt(`line ${line}: ${csvProblem(message)}`, { line: Number(line) });

  const json = /Malformed JSON in file "[^"]*", at byte (\d+) in (?:line|record\/value) (\d+): ([^\n]*)/.exec(message);
  if (json) return corrupt(`line ${json[2]}: ${json[3]!.trim()}`, { line: Number(json[2]) });
  if (
    /magic bytes|too small to be a Parquet|Invalid (?:thrift|Parquet)|parquet file|Corrupt|TProtocolException|footer|snappy|ZSTD|GZIP|decompress|invalid (?:stored|block|distance)/i.test(
      message,
    )
  ) {
    return corrupt(firstLine(message), {});
  }
  if (/No space left on device|disk.*full|max_temp_directory_size/i.test(message)) {
    return new MillraceError('DISK_FULL', {
      message: 'No space is left in the spool directory.',
      remedy: "Free space on the disk of the project's folder .millrace, or let that be a link to a larger one.",
    });
  }
  const partition = /Failed to create directory "[^"]*?([^"/=]+)=([^"/]*)": File name too long/.exec(message);
  if (partition) {
    const [column, value] = partition.slice(1).map(decoded) as [string, string];
    return new MillraceError('VALUE_UNREPRESENTABLE', {
      message: `Column "${column}": ${JSON.stringify(`${value.slice(0, 60)}…`)} is too long for the name of a partition's folder.`,
      remedy: 'Partition by a column with short values, such as a date; map() makes one.',
      facts: { column },
    });
  }
  if (/^Out of Memory/i.test(message)) {
    return new MillraceError('MEMORY_EXHAUSTED', {
      message: 'The converter ran out of the memory it may use: the rows are very wide.',
      remedy:
        "Raise maxRowBytes of the target or selection, such as maxRowBytes: '256MB' (32 MB by default): then it may use more. JSON Lines take several times what Parquet and CSV do.",
      facts: { duckdb: firstLine(message) },
    });
  }
  return new MillraceError('INTERNAL', {
    message: `DuckDB refused a statement: ${firstLine(message)}`,
    remedy: 'This is not expected: please report it.',
  });
}

export function rowTooLong(): MillraceError {
  return new MillraceError('UNSUPPORTED', {
    message: 'A row is longer than the converter takes.',
    remedy: "Raise maxRowBytes of the target or selection, such as maxRowBytes: '256MB' (32 MB by default). Memory grows with it.",
  });
}

export function refusal(why: Refusal, column: string, type: string, value: string, line?: string): MillraceError {
  const facts = { column, type, value, ...(line && { line: Number(line) }) };
  const shown = JSON.stringify(value);
  switch (why) {
    case 'unrepresentable':
      return new MillraceError('VALUE_UNREPRESENTABLE', {
        message: `Column "${column}": ${shown} cannot be written as ${type} without changing it.`,
        remedy: 'Choose a column type that holds it (numeric without precision, text), or cast the column in the pipeline.',
        facts,
      });
    case 'mismatch':
      return new MillraceError('TYPE_MISMATCH', {
        message: `Column "${column}": ${shown} is not ${article(type)} ${type}${line ? ` (line ${line})` : ''}.`,
        remedy: 'Correct the value at its source, or declare the column with a type that holds it.',
        facts,
      });
    case 'line':
      return corrupt(`it is not a ${type}`, { column: '', value });
    case 'missing':
      return new MillraceError('TYPE_MISMATCH', {
        message: `Column "${column}" holds NULL, and the table says that it never does.`,
        remedy: `Declare it with .orNull(), or correct the data.`,
        facts,
      });
    case 'unlogged':
      return new MillraceError('VALUE_UNREPRESENTABLE', {
        message: `Column "${column}" has a change whose value is not in the log of the source.`,
        remedy: 'Have the source log whole rows (REPLICA IDENTITY FULL, supplemental logging of all columns), then load the table again.',
        facts,
      });
  }
}

const article = (type: string): string => (/^[aeiou]/i.test(type) ? 'an' : 'a');

/** For a stream this is WIRE_CORRUPT, for a file FILE_CORRUPT: the caller knows which, and the file's name. */
function corrupt(problem: string, facts: Readonly<Record<string, unknown>>): MillraceError {
  return new MillraceError('FILE_CORRUPT', { message: problem, remedy: 'Load the file again at its source.', facts });
}

function csvProblem(message: string): string {
  const columns = /Expected Number of Columns: (\d+) Found: (\d+)/.exec(message);
  if (columns) return `${columns[2]} columns where ${columns[1]} are expected`;
  const known = /(Value with unterminated quote found|Invalid unicode|quote should be followed|unquoted value)/i.exec(message)?.[1];
  return known ? known.toLowerCase() : 'it does not follow the CSV format';
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const firstLine = (message: string): string => message.split('\n', 1)[0]!.slice(0, 300);
