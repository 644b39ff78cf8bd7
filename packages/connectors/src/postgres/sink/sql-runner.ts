import {
  type Context,
  type Fence,
  isMillraceError,
  MillraceError,
  type SqlRequest,
  type SqlResult,
  type SqlRunner,
} from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { passing } from './failpoints.ts';
import { attemptName, holdFence, takeFence } from './fence.ts';
import { openLedger } from './ledger.ts';

/** Where a database that runs SQL keeps its notes. Redshift has a ledger of its own, for it lacks row locks. */
export interface SqlLedger {
  open(session: Session): Promise<void>;
  take(session: Session, fence: Fence): Promise<void>;
  hold(session: Session, fence: Fence): Promise<void>;
  /** The result that was noted under the id, as JSON. */
  find(session: Session, id: string): Promise<string | null>;
  note(session: Session, id: string, result: string): Promise<void>;
  /** False on Redshift, which has a catalog and rules of its own. */
  isPostgres(session: Session): boolean;
  /** A query whose `id` is the same throughout a transaction and never in two, where the database has one. */
  transactionId(session: Session): string | null;
}

export const postgresLedger: SqlLedger = {
  open: openLedger,
  take: takeFence,
  hold: holdFence,
  async find(session, id) {
    const [row] = await session.query('SELECT receipt FROM _millrace.applied WHERE load_id = $1', [id]);
    return row?.['receipt'] ?? null;
  },
  async note(session, id, result) {
    await session.execute('INSERT INTO _millrace.applied (load_id, receipt) VALUES ($1, $2)', [id, result]);
  },
  isPostgres: () => true,
  transactionId: () => 'SELECT txid_current() AS id',
};

/** `writer` where statements will write. */
export type OpenSession = (context: Context, purpose: string, writer?: boolean) => Promise<Session>;

/** Runs SQL and procedures once, however often they are tried: the note of what was done commits with it. */
export function sqlRunner(open: OpenSession, ledger: SqlLedger): SqlRunner {
  return {
    execute: (request, context) =>
      once({ open, ledger }, request, context, {
        inTransaction: () => request.transaction,
        hears: true,
        work: (session) => run(session, request),
      }),

    async query(text, values, context) {
      await using session = await open(context, 'check');
      await session.execute('BEGIN READ ONLY');
      try {
        return (await session.query(text, values)).map((row) => ({ ...row }));
      } finally {
        await session.execute('ROLLBACK').catch(() => {});
      }
    },
  };
}

export interface OnceWork {
  /** False for what commits by itself: its note follows, so a crash in between does it again. */
  inTransaction(session: Session): boolean;
  /** Whether notices of the server are among those of the result. */
  readonly hears: boolean;
  /** Answers the rows that its statements touched. What it has to tell goes into `notices`. */
  work(session: Session, notices: string[]): Promise<(number | null)[]>;
}

/** Does the work and notes it under `id`, unless an earlier attempt has. */
export async function once(
  { open, ledger }: { readonly open: OpenSession; readonly ledger: SqlLedger },
  request: { readonly id: string; readonly fence: Fence },
  context: Context,
  { inTransaction: together, hears, work }: OnceWork,
): Promise<SqlResult> {
  await using session = await open(context, attemptName(request.fence), true);
  await ledger.open(session);
  await ledger.take(session, request.fence);
  const noted = await ledger.find(session, request.id);
  if (noted !== null) return doneBefore(noted);
  const notices: string[] = [];
  using _listening = session.onNotice((message) => {
    if (hears && notices.length < 1_000) notices.push(message);
  });
  const done = async (): Promise<Done> => ({ rowsAffected: await work(session, notices), notices });
  const again = async (): Promise<SqlResult | null> => {
    await using other = await open(context, attemptName(request.fence), true);
    await other.execute('BEGIN');
    await ledger.hold(other, request.fence);
    const found = await ledger.find(other, request.id);
    await other.execute('COMMIT');
    return found === null ? null : doneBefore(found);
  };
  return await (together(session) ? inTransaction(session, request, ledger, done, again) : byItself(session, request, ledger, done));
}

type Done = Pick<SqlResult, 'rowsAffected' | 'notices'>;
type Noted = Pick<SqlRequest, 'id' | 'fence'>;

const doneBefore = (noted: string): SqlResult => ({ alreadyDone: true, ...(JSON.parse(noted) as Done) });

async function inTransaction(
  session: Session,
  request: Noted,
  ledger: SqlLedger,
  work: () => Promise<Done>,
  lookUp: () => Promise<SqlResult | null>,
): Promise<SqlResult> {
  await session.execute('BEGIN');
  try {
    await ledger.hold(session, request.fence);
    const noted = await ledger.find(session, request.id);
    if (noted !== null) {
      await session.execute('ROLLBACK');
      return doneBefore(noted);
    }
    const asked = ledger.transactionId(session);
    const transactionId = async () => (asked === null ? null : (await session.query(asked))[0]?.['id']);
    const before = await transactionId();
    const done = await work();
    if ((await transactionId()) !== before) throw endedIt();
    await ledger.note(session, request.id, JSON.stringify(done));
    passing('postgres.sql.executed');
    await commit(session, lookUp);
    passing('postgres.sql.committed');
    return { alreadyDone: false, ...done };
  } catch (error) {
    await session.execute('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** A lost answer is looked up under the fence, which the lost transaction holds until its end. */
async function commit(session: Session, lookUp: () => Promise<SqlResult | null>): Promise<void> {
  try {
    await session.execute('COMMIT');
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'CONNECTION_FAILED') throw error;
    if (!(await lookUp().catch(() => null))) throw error;
  }
}

/** A procedure that commits by itself cannot share its transaction with the note: a crash in between runs it again. */
async function byItself(session: Session, request: Noted, ledger: SqlLedger, work: () => Promise<Done>): Promise<SqlResult> {
  const done = await work();
  passing('postgres.sql.executed');
  await ledger.note(session, request.id, JSON.stringify(done));
  passing('postgres.sql.committed');
  return { alreadyDone: false, ...done };
}

async function run(session: Session, { statements }: SqlRequest): Promise<(number | null)[]> {
  const affected: (number | null)[] = [];
  for (const [at, { text, values }] of statements.entries()) {
    const result = await session.execute(text, values, statements.length === 1 ? 'the statement' : `statement ${at + 1}`);
    affected.push(/^(INSERT|UPDATE|DELETE|MERGE|COPY)/.test(result.command ?? '') ? result.affected : null);
  }
  return affected;
}

const endedIt = (): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: 'A statement ended the transaction that it ran in, so what it did is not noted together with it.',
    remedy: 'Take COMMIT and ROLLBACK out of the statements, or run them with transaction: false.',
  });
