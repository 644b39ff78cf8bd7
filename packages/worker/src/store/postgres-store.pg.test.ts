import { runStoreConformance } from '@millrace/core/testing';
import { test } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { postgresStore } from './postgres-store.ts';

runStoreConformance(test, async () => {
  const database = await testDatabase();
  return { open: () => postgresStore(database.url), [Symbol.asyncDispose]: () => database[Symbol.asyncDispose]() };
});
