import type { TestProject } from 'vitest/node';
import { logicalServer } from './logical-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The administrator's URL of the one Postgres that all test files share. */
    postgres: string;
  }
}

/** Starts one Postgres for the whole run. It stops with this process, however this process ends. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await logicalServer();
  project.provide('postgres', server.url);
  return async () => server[Symbol.asyncDispose]();
}
