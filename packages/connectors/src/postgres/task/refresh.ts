import { type Finding, MillraceError, type RefreshTask } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteName } from '../identifier.ts';
import type { Doing } from './doing.ts';

/** A materialized view as the catalog has it. */
interface Found {
  readonly view: string;
  readonly oid: string;
  /** Never filled: it cannot be refreshed concurrently yet. */
  readonly empty: boolean;
  /** It has an index by which rows can be told apart. */
  readonly keyed: boolean;
}

/**
 * Refreshes views, those that others read before these, in the transaction that notes it: whoever reads two of them reads them as of one
 * moment. Rows of each, as many as it has afterwards.
 *
 * @throws TABLE_MISSING, UNSUPPORTED
 */
export async function refresh(task: RefreshTask, { session, tell }: Doing): Promise<(number | null)[]> {
  const counts: number[] = [];
  for (const { view, empty } of await plan(task, session)) {
    const concurrently = task.concurrently && !empty;
    const began = performance.now();
    await session.execute(`REFRESH MATERIALIZED VIEW ${concurrently ? 'CONCURRENTLY ' : ''}${quoteName(view)}`, [], view);
    const seconds = (performance.now() - began) / 1000;
    const [row] = await session.query(`SELECT count(*) AS rows FROM ${quoteName(view)}`, [], view);
    const rows = Number(row?.['rows'] ?? 0);
    counts.push(rows);
    const how = concurrently ? ', concurrently' : task.concurrently ? ', filled for the first time' : '';
    tell(`${view}: ${rows} ${rows === 1 ? 'row' : 'rows'} in ${seconds.toFixed(2)} s${how}`);
  }
  return counts;
}

/** In the order in which they would be refreshed. */
export async function previewRefresh(task: RefreshTask, { session }: Doing): Promise<Finding[]> {
  return (await plan(task, session)).map(({ view, empty }) => ({
    subject: view,
    level: 'ok',
    message: empty ? 'would be filled for the first time' : `would be refreshed${task.concurrently ? ' concurrently' : ''}`,
  }));
}

async function plan({ views, concurrently }: RefreshTask, session: Session): Promise<Found[]> {
  const found: Found[] = [];
  for (const view of views) found.push(await lookAt(view, session));
  const keyless = concurrently ? found.filter(({ keyed }) => !keyed) : [];
  if (keyless.length > 0) throw withoutKey(keyless);
  return inOrder(found, session);
}

/** An index serves where it is whole and over columns only. Source: `is_usable_unique_index` of Postgres. */
async function lookAt(view: string, session: Session): Promise<Found> {
  const [row] = await session.query(
    `SELECT c.oid, c.relkind, c.relispopulated AS filled, EXISTS (
       SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
         AND 0 < ALL (i.indkey::int2[])) AS keyed
     FROM pg_class c WHERE c.oid = to_regclass($1)`,
    [quoteName(view)],
  );
  if (!row) {
    throw new MillraceError('TABLE_MISSING', {
      message: `${session.place.label}: there is no materialized view ${view}.`,
      remedy: 'Check the name, with its schema, and that the step that makes it stands in "after".',
      facts: { view },
    });
  }
  if (row['relkind'] !== 'm') {
    throw new MillraceError('UNSUPPORTED', {
      message: `${session.place.label}: ${view} is not a materialized view, so there is nothing to refresh.`,
      remedy: row['relkind'] === 'v' ? 'A plain view is always fresh: take it out of refresh().' : 'Name a materialized view.',
      facts: { view },
    });
  }
  return { view, oid: row['oid'] as string, empty: row['filled'] !== 't', keyed: row['keyed'] === 't' };
}

const withoutKey = (found: readonly Found[]): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `Only a materialized view with a unique index can be refreshed concurrently: ${found.map(({ view }) => view).join(', ')} ${found.length === 1 ? 'has' : 'have'} none.`,
    remedy: `Make one over columns that tell its rows apart, without WHERE: CREATE UNIQUE INDEX ON ${quoteName(found[0]?.view ?? '')} (…). Or leave "concurrently" out, and readers wait.`,
    facts: { views: found.map(({ view }) => view) },
  });

/** A view reads whatever those read that it reads, and these themselves: it has more to read than each of them. */
async function inOrder(found: readonly Found[], session: Session): Promise<Found[]> {
  const rows = await session.query(
    `WITH RECURSIVE reads AS (
       SELECT oid AS view, oid AS relation FROM unnest($1::oid[]) AS oid
       UNION
       SELECT r.view, d.refobjid FROM reads r JOIN pg_rewrite w ON w.ev_class = r.relation
       JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
     )
     SELECT view, count(*) AS reads FROM reads WHERE relation = ANY ($1::oid[]) GROUP BY view`,
    [`{${found.map(({ oid }) => oid).join(',')}}`],
  );
  const reads = new Map(rows.map((row) => [row['view'], Number(row['reads'])]));
  return [...found].sort((a, b) => (reads.get(a.oid) ?? 0) - (reads.get(b.oid) ?? 0));
}
