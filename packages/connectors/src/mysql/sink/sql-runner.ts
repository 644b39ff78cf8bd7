import {
  type Context,
  isMillraceError,
  MillraceError,
  type SqlRequest,
  type SqlResult,
  type SqlRunner,
  type SqlStatement,
} from '@millrace/core/runtime';
import type { SessionSettings } from '../credentials.ts';
import { literal } from '../literal.ts';
import { openSession, type Session } from '../session.ts';
import { passing } from './failpoints.ts';
import { attemptSession, closeAttempt, holdFence, takeFence } from './fence.ts';
import { ledger } from './ledger.ts';

type Done = Pick<SqlResult, 'rowsAffected' | 'notices'>;

/** Runs SQL and procedures once, however often they are tried: the note of what was done commits with it. Parameters are written `?`. */
export function sqlRunner(settings: SessionSettings): SqlRunner {
  return {
    async execute(request, context) {
      const session = await attemptSession(settings, context, request.fence, { ownMode: true });
      try {
        await takeFence(session, request.fence);
        const noted = await find(session, request.id);
        if (noted) return { alreadyDone: true, ...noted };
        return await (request.transaction ? together(session, request, settings, context) : byItself(session, request));
      } finally {
        await closeAttempt(session);
      }
    },

    async query(text, values, context) {
      await using session = await openSession(settings, context, { purpose: 'check', ownMode: true });
      await session.execute('START TRANSACTION READ ONLY');
      try {
        return (await session.query(bound({ text, values }))).map((row) => ({ ...row }));
      } finally {
        if (!session.ended) await session.execute('ROLLBACK').catch(() => {});
      }
    },
  };
}

async function together(session: Session, request: SqlRequest, settings: SessionSettings, context: Context): Promise<SqlResult> {
  const { id, fence } = request;
  await session.execute('START TRANSACTION');
  try {
    await holdFence(session, fence);
    const noted = await find(session, id);
    if (noted) {
      await session.execute('ROLLBACK');
      return { alreadyDone: true, ...noted };
    }
    const done = await run(session, request);
    await note(session, id, done);
    passing('mysql.sql.executed');
    await session.execute('COMMIT').catch(async (error: unknown) => {
      if (!isMillraceError(error) || error.code !== 'CONNECTION_FAILED') throw error;
      const other = await attemptSession(settings, context, fence);
      try {
        await other.execute('START TRANSACTION');
        await holdFence(other, fence);
        const found = await find(other, id);
        await other.execute('COMMIT');
        if (!found) throw error;
      } finally {
        await closeAttempt(other);
      }
    });
    passing('mysql.sql.committed');
    return { alreadyDone: false, ...done };
  } catch (error) {
    if (!session.ended) await session.execute('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** What commits by itself cannot share its transaction with the note: a crash in between runs it again. */
async function byItself(session: Session, request: SqlRequest): Promise<SqlResult> {
  const done = await run(session, request);
  passing('mysql.sql.executed');
  await note(session, request.id, done);
  passing('mysql.sql.committed');
  return { alreadyDone: false, ...done };
}

async function run(session: Session, { statements, transaction }: SqlRequest): Promise<Done> {
  const rowsAffected: (number | null)[] = [];
  const notices: string[] = [];
  for (const [at, statement] of statements.entries()) {
    const result = await session.execute(bound(statement), statements.length === 1 ? 'the statement' : `statement ${at + 1}`);
    // DDL commits what was before it, and itself.
    if (transaction && !result.inTransaction) throw endedIt(at + 1);
    rowsAffected.push(/^\s*(insert|update|delete|replace|load)\b/i.test(statement.text) ? result.affected : null);
    if (result.warnings > 0 && notices.length < 1_000)
      notices.push(...(await session.query('SHOW WARNINGS LIMIT 100')).map((row) => `${row['Level']}: ${row['Message']}`));
  }
  return { rowsAffected, notices };
}

const endedIt = (number: number): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `Statement ${number} ended the transaction that it ran in (CREATE, ALTER, DROP, TRUNCATE and COMMIT do), so what it did is not noted together with it.`,
    remedy: 'Run such statements with transaction: false, written so that they may be run again.',
  });

async function find(session: Session, id: string): Promise<Done | null> {
  const [row] = await session.query(`SELECT receipt FROM ${ledger('applied')} WHERE load_id = ${literal(id)}`);
  return row ? (JSON.parse(row['receipt'] ?? '') as Done) : null;
}

async function note(session: Session, id: string, done: Done): Promise<void> {
  await session.execute(
    `INSERT INTO ${ledger('applied')} (load_id, receipt) VALUES (${[id, JSON.stringify(done)].map(literal).join(', ')})`,
  );
}

/** The statement with a literal for each `?` that stands in neither a string, a quoted name nor a comment. @throws STATEMENT_FAILED */
export function bound({
  text,
  values,
}: Pick<SqlStatement, 'text'> & { readonly values: readonly SqlStatement['values'][number][] }): string {
  if (values.length === 0) return text;
  let used = 0;
  const written = text.replace(/'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`|--[^\n]*|#[^\n]*|\/\*[\s\S]*?\*\/|\?/g, (token) =>
    token === '?' ? literal(values[used++] ?? null) : token,
  );
  if (used === values.length) return written;
  throw new MillraceError('STATEMENT_FAILED', {
    message: `The statement has ${used} parameters ("?"), and ${values.length} values were given.`,
    remedy: 'Write one "?" for each value.',
  });
}
