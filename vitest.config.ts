import { defineConfig } from 'vitest/config';

/** Workspace packages are read from their sources, so a test never sees a stale build. */
const conditions = ['millrace-source', 'node', 'import', 'module', 'default'];
const beside = (suffix: string) => ['packages', 'examples', 'bench', 'test', 'scripts'].map((folder) => `${folder}/**/*.${suffix}.ts`);

const shared = {
  extends: true,
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
} as const;

export default defineConfig({
  test: {
    exclude: ['**/node_modules/**', '**/dist/**', '**/.millrace/**'],
    server: { deps: { inline: [/@millrace\//, /\/packages\/[a-z-]+\/src\//] } },
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          include: beside('test'),
          exclude: [...beside('pg.test'), ...beside('s3.test'), '**/node_modules/**', '**/dist/**', '**/.millrace/**'],
        },
      },
      { ...shared, test: { name: 'pg', include: beside('pg.test'), globalSetup: ['test/postgres-server.ts'] } },
      { ...shared, test: { name: 's3', include: beside('s3.test'), globalSetup: ['test/s3-server.ts'] } },
      {
        ...shared,
        test: { name: 'types', include: [], typecheck: { enabled: true, only: true, include: beside('test-d'), tsconfig: 'tsconfig.test.json' } },
      },
    ],
  },
});
