import { defineConfig } from 'vitest/config';

const beside = (suffix: string) => ['packages', 'examples', 'bench', 'test', 'scripts'].map((folder) => `${folder}/**/*.${suffix}.ts`);
const never = ['**/node_modules/**', '**/dist/**', '**/.millrace/**'];

export default defineConfig({
  // Workspace packages are read from their sources, so a test never sees a stale build.
  resolve: { conditions: ['millrace-source', 'module', 'node', 'development|production'] },
  ssr: { resolve: { conditions: ['millrace-source', 'module', 'node', 'development|production'], externalConditions: ['millrace-source'] } },
  test: {
    exclude: never,
    server: { deps: { inline: [/@millrace\//, /\/packages\/[a-z-]+\/src\//] } },
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: beside('test'), exclude: [...beside('pg.test'), ...beside('s3.test'), ...never] },
      },
      { extends: true, test: { name: 'pg', include: beside('pg.test'), globalSetup: ['test/postgres-server.ts'] } },
      { extends: true, test: { name: 's3', include: beside('s3.test'), globalSetup: ['test/postgres-server.ts', 'test/s3-server.ts'] } },
      {
        extends: true,
        test: {
          name: 'types',
          include: [],
          typecheck: { enabled: true, only: true, include: beside('test-d'), tsconfig: 'tsconfig.test.json' },
        },
      },
    ],
  },
});
