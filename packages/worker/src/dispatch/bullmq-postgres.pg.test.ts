import { afterAll, beforeAll } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { dispatchConformance } from '../../test/dispatch-conformance.ts';
import { bullmqPostgresDispatch } from './bullmq-postgres.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

dispatchConformance('BullMQ in Postgres', { open: (queue) => bullmqPostgresDispatch({ url: database.url, queue }), shared: true });
