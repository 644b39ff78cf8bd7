import type { RefreshTask } from '@millrace/core/runtime';
import { quoteName } from '../identifier.ts';
import type { Doing } from './doing.ts';
import { onlyOnPostgres } from './unsupported.ts';

/**
 * One after another, in the order of the list: each REFRESH is a transaction of its own, and readers never wait for it.
 * Source: https://docs.aws.amazon.com/redshift/latest/dg/materialized-view-refresh-sql-command.html
 */
export async function refreshOnRedshift({ views, concurrently }: RefreshTask, { session, tell }: Doing): Promise<(number | null)[]> {
  if (concurrently) {
    throw onlyOnPostgres(
      'Redshift knows no REFRESH … CONCURRENTLY',
      'Leave "concurrently" out: readers of Redshift do not wait for a refresh.',
    );
  }
  for (const view of views) {
    const began = performance.now();
    await session.execute(`REFRESH MATERIALIZED VIEW ${quoteName(view)}`, [], view);
    tell(`${view}: refreshed in ${((performance.now() - began) / 1000).toFixed(2)} s`);
  }
  return views.map(() => null);
}
