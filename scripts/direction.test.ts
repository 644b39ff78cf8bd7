import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { wrongWay } from './direction.mjs';

const made: string[] = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function repository(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'millrace-direction-'));
  made.push(root);
  for (const [path, text] of Object.entries({ 'packages/core/package.json': '{}', 'packages/core/src/index.ts': '', ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

test('a repository that keeps to the list has nothing wrong', () => {
  const root = repository({
    'packages/core/src/index.ts': `export * from './plan/index.ts';`,
    'packages/core/src/plan/index.ts': `import { x } from '../error/index.ts';\n// import 'redis' is only spoken of\nimport { join } from 'node:path';`,
    'packages/core/src/plan/text.ts': "// it's `odd\nexport const text = `a/*.ts\nimport { x } from 'redis';\n`;",
    'packages/core/src/plan/plan.test.ts': `import { expect } from 'vitest';\nimport { run } from '../run/index.ts';`,
    'packages/worker/package.json': `{ "dependencies": { "@millrace/core": "*", "kysely": "*" } }`,
    'packages/worker/src/index.ts': `import type { Plan } from '@millrace/core/runtime';\nimport {\n  sql,\n} from 'kysely';`,
  });
  expect(wrongWay(root)).toEqual([]);
});

test.each([
  [
    'a folder of core that imports one below it',
    'core/src/schema/a.ts',
    `import { p } from '../plan/index.ts';`,
    'schema may not import plan',
  ],
  ['a folder of core that imports an entry', 'core/src/run/a.ts', `export * from '../index.ts';`, 'only entries may import an entry'],
  ['a folder of core that is on no floor', 'core/src/shed/a.ts', `import '../error/index.ts';`, 'on no floor'],
  ['core with a package from npm', 'core/src/run/a.ts', `import pg from 'pg';`, 'does not declare'],
  ['core with a connector', 'core/src/run/a.ts', `const x = await import('@millrace/connectors/s3');`, 'core may not import'],
  ['core by a path out of its package', 'core/src/run/a.ts', `export { x } from '../../../cli/src/main.ts';`, 'outside its package'],
  ['a built-in module without node:', 'core/src/run/a.ts', `import 'fs';`, 'write "node:fs"'],
  ['a type from afar', 'core/src/run/a.ts', `type P = import('pg').Client;`, 'does not declare'],
])('%s is reported', (_, path, text, expected) => {
  expect(wrongWay(repository({ [`packages/${path}`]: text }))).toEqual([expect.stringContaining(expected)]);
});

test('a package that declares or imports its neighbour is reported for both', () => {
  const root = repository({
    'packages/transforms/package.json': `{ "dependencies": { "@millrace/core": "*", "@millrace/worker": "*" } }`,
    'packages/transforms/src/index.ts': `import { start } from '@millrace/worker';`,
  });
  expect(wrongWay(root)).toEqual([
    'packages/transforms/package.json: may not depend on @millrace/worker.',
    expect.stringContaining('transforms may not import @millrace/worker'),
  ]);
});
