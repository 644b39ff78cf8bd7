import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findDeployLint } from '../../../../scripts/deploy-lint.mjs';
import { templates } from '../../test/templates.ts';

const found = findDeployLint();
if ('missing' in found) console.error(`Templates of state machines are not checked by cfn-lint: ${found.missing}.`);
const folder = mkdtempSync(join(tmpdir(), 'millrace-templates-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// I3510 compares ARNs of DMS with a pattern whose star it takes by the letter; policy.test.ts looks at all of them.
test.skipIf('missing' in found)('cfn-lint has nothing against the templates', () => {
  const files = Object.entries(templates).map(([name, template]) => {
    const file = join(folder, `${name.replaceAll(/\W+/g, '-')}.template.json`);
    writeFileSync(file, JSON.stringify(template, null, 2));
    return file;
  });
  const { stdout, stderr } = spawnSync(
    join((found as { bin: string }).bin, 'cfn-lint'),
    ['--include-checks', 'I', '--ignore-checks', 'I3510', '--regions', 'eu-west-1', '--', ...files],
    {
      encoding: 'utf8',
    },
  );
  expect(`${stdout}${stderr}`).toBe('');
});
