// npm test: everything CI asks for. The last line of its output is the totals over all test runs.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { checks, runAll } from './checks.mjs';
import { provideDeployLint } from './deploy-lint.mjs';
import { provideDrivers } from './jdbc-drivers.mjs';
import { provideMariaDb } from './mariadb.mjs';
import { provideMemcached } from './memcached.mjs';
import { provideMoto } from './moto.mjs';
import { newestLts } from './node-lts.mjs';
import { provideRedis } from './redis.mjs';
import { root, setup } from './setup.mjs';

const total = { passed: 0, failed: 0, skipped: 0 };
/** @type {string[]} */
const failures = [];
const started = performance.now();

section('setup', () => {
  setup();
  return true;
});
/** What is fetched, which takes time and little else, comes while the checks run. */
const fetched = [
  { name: 'fetching the S3 server', command: ['scripts/moto.mjs'] },
  { name: 'fetching Redis', command: ['scripts/redis.mjs'] },
  { name: 'fetching MariaDB', command: ['scripts/mariadb.mjs'] },
  { name: 'fetching JDBC drivers', command: ['scripts/jdbc-drivers.mjs'] },
  { name: 'fetching Memcached', command: ['scripts/memcached.mjs'] },
  { name: 'fetching the newest LTS of Node', command: ['scripts/node-lts.mjs'] },
];
total.failed += await runAll([...fetched, ...checks], (name, passed, seconds, output) => {
  console.log(`\n## ${name}\n${output}${passed ? 'done' : 'FAILED'} after ${seconds.toFixed(1)} s: ${name}`);
});
const moto = section('S3 server', provideMoto);
const redis = section('Redis', provideRedis);
const mariadb = section('MariaDB', provideMariaDb);
const drivers = section('JDBC drivers', provideDrivers);
const memcached = section('Memcached', provideMemcached);
/** They take long to come, and are wanted last. */
const linters = spawn(process.execPath, ['scripts/deploy-lint.mjs'], { cwd: root, stdio: 'ignore' });
const lintersFetched = new Promise((resolve) => linters.once('close', resolve).once('error', resolve));
// The checks above have seen the types, also what tests of types expect of them.
section(`tests on Node ${process.version}`, () => vitest(process.execPath, ['--project', '!types', '--project', '!lint']));
const lts = section('the newest LTS of Node', newestLts);
if (lts) section(`unit tests on Node ${lts.version}`, () => vitest(lts.path, ['--project', 'unit']));
else total.failed++;

await lintersFetched;
section('linters of a deployment', provideDeployLint);
section('files of a deployment', () => vitest(process.execPath, ['--project', 'lint']));

if ('missing' in moto) leftOut('S3', '*.s3.test.ts', moto.missing);
if ('missing' in redis) leftOut('Redis', '*.redis.test.ts', redis.missing);
if ('missing' in mariadb) leftOut('MariaDB', '*.maria.test.ts', mariadb.missing);
if ('missing' in drivers) leftOut('JDBC', '*.jdbc.test.ts', drivers.missing);
if ('missing' in memcached) leftOut('Memcached', '*.memcached.test.ts', memcached.missing);
for (const failure of failures) console.log(`\nFAILED ${failure}`);
console.log(`\nAll of it took ${((performance.now() - started) / 1000).toFixed(0)} s.`);
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
process.exit(total.failed > 0 ? 1 : 0);

/**
 * @template T
 * @param {string} name
 * @param {() => T} work
 */
function section(name, work) {
  const start = performance.now();
  console.log(`\n## ${name}`);
  const result = work();
  console.log(`${result === false ? 'FAILED' : 'done'} after ${((performance.now() - start) / 1000).toFixed(1)} s: ${name}`);
  return result;
}

/**
 * @param {string} node
 * @param {string[]} args
 */
function vitest(node, args) {
  const report = join(root, '.millrace', 'test', 'report.json');
  mkdirSync(join(root, '.millrace', 'test'), { recursive: true });
  rmSync(report, { force: true });
  const { status } = spawnSync(
    node,
    [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...args, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, MILLRACE_TEST_NODE: node } },
  );
  const told = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : null;
  const counted = told ? count(told) : { passed: 0, failed: 1, skipped: 0 };
  if (told) failures.push(...failed(told));
  // Errors outside any test (an unhandled rejection, a type error, a server that did not start) fail the run too.
  if (status !== 0 && counted.failed === 0) counted.failed = 1;
  total.passed += counted.passed;
  total.failed += counted.failed;
  total.skipped += counted.skipped;
  return counted.failed === 0;
}

/**
 * What failed, with the beginning of why: the last lines of a long log are those that are read.
 * @param {{ testResults: { name: string, status: string, message: string, assertionResults: { status: string, fullName: string, failureMessages: string[] }[] }[] }} report
 */
function failed({ testResults }) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name);
    const tests = assertionResults.filter((test) => test.status === 'failed');
    if (tests.length === 0) return status === 'failed' ? [`${file}\n${message.slice(0, 1000)}`] : [];
    return tests.map((test) => `${file}: ${test.fullName}\n${test.failureMessages.join('\n').slice(0, 1000)}`);
  });
}

/** @param {{ testResults: { status: string, assertionResults: { status: string }[] }[] }} report */
function count(report) {
  const counted = { passed: 0, failed: 0, skipped: 0 };
  for (const file of report.testResults) {
    const failed = file.assertionResults.filter((test) => test.status === 'failed').length;
    const passed = file.assertionResults.filter((test) => test.status === 'passed').length;
    counted.passed += passed;
    counted.failed += failed === 0 && file.status === 'failed' ? 1 : failed;
    counted.skipped += file.assertionResults.length - passed - failed;
  }
  return counted;
}

/**
 * @param {string} what
 * @param {string} pattern
 * @param {string} why
 */
function leftOut(what, pattern, why) {
  const listed = spawnSync('git', ['ls-files', pattern], { cwd: root, encoding: 'utf8' });
  const files = listed.status === 0 ? listed.stdout.split('\n').filter(Boolean) : [pattern];
  total.skipped += files.length;
  console.log(`\nSkipped ${files.length} files of ${what} tests: ${why}.`);
}
