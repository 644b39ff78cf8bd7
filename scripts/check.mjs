// npm run check: types, lint, dependency direction, generated files and packages, without the tests.
import { checks, passes } from './checks.mjs';
import { setup } from './setup.mjs';

setup();
const failed = checks.filter((check) => {
  const passed = passes(check);
  console.error(`${passed ? 'ok    ' : 'FAILED'} ${check.name}`);
  return !passed;
});
process.exit(failed.length > 0 ? 1 : 0);
