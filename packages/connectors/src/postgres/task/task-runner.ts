import { type DatabaseTask, type Finding, isMillraceError, type TaskRunner } from '@millrace/core/runtime';
import { deploy } from '../object/deploy.ts';
import { deployOnRedshift } from '../object/deploy-on-redshift.ts';
import { previewDeploy } from '../object/preview.ts';
import { keepPartitions, previewPartitions } from '../partition/partitions.ts';
import { type OpenSession, once, type SqlLedger } from '../sink/sql-runner.ts';
import type { Doing } from './doing.ts';
import { previewRefresh, refresh } from './refresh.ts';
import { refreshOnRedshift } from './refresh-on-redshift.ts';
import { onlyOnPostgres } from './unsupported.ts';

/** Tasks of a database that speaks as Postgres does. What it finds in the catalog decides, inside the transaction that acts on it. */
export function taskRunner(home: { readonly open: OpenSession; readonly ledger: SqlLedger }): TaskRunner {
  return {
    perform: (task, request, context) =>
      once(home, request, context, {
        // Redshift's REFRESH is a transaction of its own.
        inTransaction: (session) => task.kind !== 'refresh' || home.ledger.isPostgres(session),
        hears: false,
        work: (session, notices) =>
          perform(task, {
            session,
            context,
            owner: request.owner,
            postgres: home.ledger.isPostgres(session),
            tell: (line) => notices.push(line),
          }),
      }),

    async preview(task, owner, context) {
      try {
        await using session = await home.open(context, 'preview');
        return await preview(task, { session, context, owner, postgres: home.ledger.isPostgres(session), tell: () => {} });
      } catch (error) {
        if (!isMillraceError(error)) throw error;
        return [{ subject: owner.step, level: 'problem', message: error.message, remedy: error.remedy, error }];
      }
    },
  };
}

async function perform(task: DatabaseTask, doing: Doing): Promise<(number | null)[]> {
  switch (task.kind) {
    case 'refresh':
      return doing.postgres ? refresh(task, doing) : refreshOnRedshift(task, doing);
    case 'partitions':
      if (!doing.postgres)
        throw onlyOnPostgres('Redshift has no partitions of tables', 'Give the table a sort key, and take the step out.');
      return keepPartitions(task, doing);
    case 'objects':
      return doing.postgres ? deploy(task, doing) : deployOnRedshift(task, doing);
    default:
      return task satisfies never;
  }
}

async function preview(task: DatabaseTask, doing: Doing): Promise<readonly Finding[]> {
  switch (task.kind) {
    case 'refresh':
      return doing.postgres ? previewRefresh(task, doing) : [];
    case 'partitions':
      if (!doing.postgres)
        throw onlyOnPostgres('Redshift has no partitions of tables', 'Give the table a sort key, and take the step out.');
      return previewPartitions(task, doing);
    case 'objects':
      return doing.postgres ? previewDeploy(task, doing) : [];
    default:
      return task satisfies never;
  }
}
