// npm run check: types, lint, dependency direction, generated files and packages, without the tests.
import { checks, runAll } from './checks.mjs';
import { setup } from './setup.mjs';

setup();
const failed = await runAll(checks, (name, passed, _seconds, output) => {
  console.error(`${output}${passed ? 'ok    ' : 'FAILED'} ${name}`);
});
process.exit(failed > 0 ? 1 : 0);
