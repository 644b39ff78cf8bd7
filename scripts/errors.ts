// Writes docs/errors.md from the table of codes; with --check, says whether the file is up to date.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { codes, type ErrorEntry, type RetryKind } from '../packages/core/src/error/codes.ts';

const file = fileURLToPath(new URL('../docs/errors.md', import.meta.url));

const retries: Record<RetryKind, string> = {
  never: 'not tried again: it needs a person',
  backoff: 'tried again, later and later, as often as the step allows',
  lost: 'not tried again here: a newer attempt goes on',
};

const entries = Object.entries<ErrorEntry>(codes).sort(([a], [b]) => (a < b ? -1 : 1));
const text = `# Errors

Every error of Millrace has a code, says what happened, and says what to do now. This file is generated from
\`packages/core/src/error/codes.ts\` by \`npm run errors\`.

| retry | means |
|---|---|
${Object.entries(retries)
  .map(([kind, meaning]) => `| ${kind} | ${meaning} |`)
  .join('\n')}

${entries.map(([code, entry]) => `## ${code}\n\n${entry.manual}\n\nRetry: ${entry.retry}. Exit code: ${entry.exit}.\n`).join('\n')}`;

if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
  console.error('docs/errors.md is not what packages/core/src/error/codes.ts says. Run "npm run errors".');
  process.exitCode = 1;
}
