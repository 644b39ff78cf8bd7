import { inject } from 'vitest';
import { databaseOn, type TestDatabase } from './database.ts';

export type { TestDatabase } from './database.ts';

/**
 * An empty database in the Postgres that this run shares, or a copy of another one, whose sessions are ended for it. It goes, with its
 * slots and sessions, when disposed. `logicalServer` gives a server of one's own.
 */
export const testDatabase = (like?: TestDatabase): Promise<TestDatabase> => databaseOn(inject('postgres'), like);
