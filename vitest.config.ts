import { defineConfig } from 'vitest/config';
import { findDrivers } from './scripts/jdbc-drivers.mjs';
import { findMariaDb } from './scripts/mariadb.mjs';
import { findMemcached } from './scripts/memcached.mjs';
import { findMoto } from './scripts/moto.mjs';
import { findRedis } from './scripts/redis.mjs';
import { LongestFirst } from './test/longest-first.ts';

const beside = (suffix: string) => ['packages', 'examples', 'bench', 'test', 'scripts'].map((folder) => `${folder}/**/*.${suffix}.ts`);
const never = ['**/node_modules/**', '**/dist/**', '**/.millrace/**'];

const memcached = findMemcached();
const moto = findMoto();
const redis = findRedis();
const mariadb = findMariaDb();
const drivers = findDrivers();
if (!process.env['MILLRACE_TOLD']) {
  if ('missing' in memcached) console.error(`The Memcached tests are left out: ${memcached.missing}.`);
  if ('missing' in moto) console.error(`The S3 tests are left out: ${moto.missing}.`);
  if ('missing' in redis) console.error(`The Redis tests are left out: ${redis.missing}.`);
  if ('missing' in mariadb) console.error(`The MariaDB tests are left out: ${mariadb.missing}.`);
  if ('missing' in drivers) console.error(`The JDBC tests are left out: ${drivers.missing}.`);
  process.env['MILLRACE_TOLD'] = 'yes'; // every project reads this file again
}

export default defineConfig({
  // Workspace packages are read from their sources, so a test never sees a stale build.
  resolve: { conditions: ['millrace-source', 'node'] },
  ssr: { resolve: { conditions: ['millrace-source', 'node'], externalConditions: ['millrace-source'] } },
  test: {
    exclude: never,
    server: { deps: { inline: [/@millrace\//, /\/packages\/[a-z-]+\/src\//] } },
    // More than a CI machine has cores: half of the tests wait, for servers and for processes that they kill.
    maxWorkers: 5,
    sequence: { sequencer: LongestFirst },
    // Importing what they test takes most files longer than testing it.
    isolate: false,
    setupFiles: ['test/properties.ts'],
    // The AWS client says on every start that it will leave Node 20 in 2027; the test reports need not.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 30_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: beside('test'),
          exclude: [...['pg', 's3', 'redis', 'maria', 'jdbc', 'memcached', 'lint'].flatMap((needs) => beside(`${needs}.test`)), ...never],
          globalSetup: ['test/run-folder.ts', 'test/bundled-packages.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'pg',
          include: beside('pg.test'),
          globalSetup: ['test/run-folder.ts', 'test/bundled-packages.ts', 'test/postgres-server.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 's3',
          include: 'missing' in moto ? [] : beside('s3.test'),
          globalSetup: ['test/run-folder.ts', 'test/bundled-packages.ts', 'test/postgres-server.ts', 'test/s3-server.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'redis',
          include: 'missing' in redis ? [] : beside('redis.test'),
          globalSetup: ['test/run-folder.ts', 'test/bundled-packages.ts', 'test/postgres-server.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'maria',
          include: 'missing' in mariadb ? [] : beside('maria.test'),
          globalSetup: ['test/run-folder.ts', 'test/bundled-packages.ts', 'test/postgres-server.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'jdbc',
          include: 'missing' in drivers ? [] : beside('jdbc.test'),
          globalSetup: ['test/run-folder.ts', 'test/bundled-packages.ts', 'test/postgres-server.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'memcached',
          include: 'missing' in memcached ? [] : beside('memcached.test'),
          globalSetup: ['test/run-folder.ts', 'test/bundled-packages.ts'],
        },
      },
      // What others' programs say of files that are no code; `npm test` fetches them meanwhile.
      { extends: true, test: { name: 'lint', include: beside('lint.test') } },
      {
        extends: true,
        test: {
          name: 'types',
          include: [],
          typecheck: { enabled: true, only: true, include: beside('test-d'), tsconfig: 'tsconfig.test.json', ignoreSourceErrors: true },
        },
      },
    ],
  },
});
