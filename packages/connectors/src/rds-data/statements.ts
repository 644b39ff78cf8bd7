import type { Context, RemoteDescription, RemoteHandle, RemoteTask } from '@millrace/core/runtime';
import { consoleLink, regionOfArn } from '../aws/console.ts';
import type { RdsDataFacts } from '../aws/facts.ts';
import type { RdsDataService } from './client.ts';
import { isDone, noteDone } from './ledger.ts';
import { inTransaction, type Place, type Statement, session } from './session.ts';

/** `once`: in one transaction, with a ledger row. `transaction`: in one transaction. `apart`: one statement, which commits by itself. */
export type Manner = 'once' | 'transaction' | 'apart';

export function rdsStatements(rds: RdsDataService, cluster: string, statements: number, manner: Manner): RemoteTask {
  const facts: RdsDataFacts = { native: manner === 'apart', statements, transaction: manner !== 'apart' };
  const description: RemoteDescription = {
    service: 'rds-data',
    action: 'ExecuteStatement',
    label: `${statements === 1 ? 'statement' : `${statements} statements`} on ${cluster.split(':').at(-1)}`,
    region: rds.region,
    starts: manner === 'once' ? 'once' : 'at-least-once',
    watched: false,
    pollMs: 1_000,
    facts: { ...facts },
  };
  const region = regionOfArn(cluster);
  const link = region === null ? null : consoleLink(region, `rds/home?region=${region}#query-editor:`);
  const handleOf = (id: string, detail: RemoteHandle['detail']): RemoteHandle => ({ id, link, detail });

  return {
    description,
    async start({ id, parameters }, context) {
      if (manner === 'apart') {
        const { ContinueAfterTimeout: continueAfterTimeout = false, ...one } = parameters as unknown as Place & Statement & Continues;
        return handleOf(id, { rows: [await session(rds, one, context, { continueAfterTimeout }).execute(one)] });
      }
      const { Statements, ...place } = parameters as unknown as Place & { readonly Statements: readonly Statement[] };
      if (manner === 'once' && (await isDone(rds, place, id, context))) return handleOf(id, { earlier: true });
      return handleOf(id, await together(id, place, Statements, context));
    },
    adopt: async ({ id, parameters }, context) =>
      manner === 'once' && (await isDone(rds, parameters as unknown as Place, id, context)) ? handleOf(id, { earlier: true }) : null,
    poll: async ({ detail }) => ({ at: 'succeeded', output: detail }),
    async cancel() {},
  };

  async function together(id: string, place: Place, all: readonly Statement[], context: Context): Promise<RemoteHandle['detail']> {
    return await inTransaction(rds, place, context, async (transaction) => {
      if (manner === 'once' && !(await noteDone(transaction, id))) return { earlier: true };
      const rows: number[] = [];
      for (const statement of all) rows.push(await transaction.execute(statement));
      return { rows };
    });
  }
}

interface Continues {
  readonly ContinueAfterTimeout?: boolean;
}
