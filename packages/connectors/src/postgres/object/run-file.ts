import { isMillraceError, MillraceError, type SqlFile } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { atAddresses, type FoundObject, marks } from './catalog.ts';

export interface FileRun {
  /** What it made or replaced; `made` where it was not there before. */
  readonly touched: readonly { readonly object: FoundObject; readonly made: boolean }[];
  /** What the server said it left alone, since it exists already. */
  readonly skipped: readonly string[];
}

/**
 * Runs the statements of a file as they stand, with the search path and the role that the session began with.
 *
 * @throws what the database says, with the file's name and the line
 */
export async function runFile(file: SqlFile, path: string, session: Session): Promise<FileRun> {
  const skipped: string[] = [];
  const before = await marks(session);
  const transaction = await transactionId(session);
  await setPath(path, session);
  using _listening = session.onNotice((message, sqlstate) => {
    if (sqlstate === '42P07' || sqlstate === '42710') skipped.push(message);
  });
  try {
    await session.execute(file.text);
  } catch (error) {
    throw inFile(file, error);
  }
  if ((await transactionId(session)) !== transaction) throw endedIt(file);
  await session.execute('RESET SESSION AUTHORIZATION; RESET ROLE');
  await setPath('', session);
  const after = await marks(session);
  const addresses = [...after].filter(([address, mark]) => before.get(address) !== mark).map(([address]) => address);
  const touched = (await atAddresses(addresses, session)).map((object) => ({ object, made: !before.has(object.address) }));
  return { touched, skipped };
}

/** With an empty path the server prints every name in full, so that a definition is the same whoever asks for it. */
export async function setPath(path: string, session: Session): Promise<void> {
  await session.query(`SELECT set_config('search_path', $1, true)`, [path]);
}

const transactionId = async (session: Session): Promise<string | null | undefined> =>
  (await session.query('SELECT txid_current() AS id'))[0]?.['id'];

/**
 * It exists already (42P07 a relation, 42710 a type or a trigger, 42723 a function), it would have other columns (42P16), return something
 * else (42P13), or be of another kind (42809).
 */
const needsReplacement = ['42P07', '42710', '42723', '42P16', '42P13', '42809'];

export const mustBeReplaced = (error: unknown): error is MillraceError =>
  isMillraceError(error) && needsReplacement.includes(String(error.facts['sqlstate']));

function inFile({ name, text }: SqlFile, error: unknown): unknown {
  if (!isMillraceError(error) || error.facts['sqlstate'] === undefined) return error;
  const position = Number(error.facts['position']);
  const line = position > 0 ? [...text].slice(0, position - 1).filter((character) => character === '\n').length + 1 : null;
  return new MillraceError(error.code, {
    message: `${JSON.stringify(name)}${line === null ? '' : `, line ${line}`}: ${error.message}`,
    remedy:
      error.code === 'STATEMENT_FAILED'
        ? `Correct ${JSON.stringify(name)}; the message is that of the database. Nothing was deployed.`
        : error.remedy,
    facts: { ...error.facts, file: name, ...(line !== null && { line }) },
  });
}

const endedIt = ({ name }: SqlFile): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `${JSON.stringify(name)} ended the transaction that all files are deployed in.`,
    remedy:
      'Take BEGIN, COMMIT and ROLLBACK out of it. What stood before them has been committed, and is run again with the next deployment.',
    facts: { file: name },
  });
