import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

/**
 * A program of a test with all that it imports, and that of DuckDB's process, each as one file of JavaScript: they start in a small part of
 * the time that the sources take, and tests that kill processes start hundreds. `entry` is its address:
 * `new URL('./attempt.ts', import.meta.url)`. It must not await at its top level.
 */
export async function bundled(entry: URL): Promise<{ readonly file: string } & AsyncDisposable> {
  const directory = await mkdtemp(path.join(tmpdir(), 'millrace-program-'));
  await build({
    entryPoints: {
      program: fileURLToPath(entry),
      child: fileURLToPath(new URL('../packages/connectors/src/duckdb/child.ts', import.meta.url)),
    },
    bundle: true,
    mainFields: ['module', 'main'],
    platform: 'node',
    // Node keeps what it has compiled of a script, if asked; of ES modules it does not.
    format: 'cjs',
    supported: { 'dynamic-import': false },
    target: 'node20',
    banner: { js: "const fileAddress = require('node:url').pathToFileURL(__filename).href;" },
    define: { 'import.meta.url': 'fileAddress' },
    conditions: ['millrace-source'],
    outdir: directory,
    plugins: [installed],
    logLevel: 'error',
  });
  const file = path.join(directory, 'start.js');
  await writeFile(file, start);
  await writeFile(path.join(directory, 'package.json'), '{"type":"commonjs"}');
  return { file, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

const fromConnectors = createRequire(new URL('../packages/connectors/package.json', import.meta.url));

/** What has native parts or is large stays where it is installed; the bundle lies elsewhere, so it names them by their place. */
const installed: Plugin = {
  name: 'installed',
  setup(bundle) {
    bundle.onResolve({ filter: /^@duckdb\// }, ({ path: name }) => ({ path: fromConnectors.resolve(name), external: true }));
    bundle.onResolve({ filter: /^pg-native$/ }, ({ path: name }) => ({ path: name, external: true }));
  },
};

/** Runs the program; the first of its processes leaves what V8 has compiled in it for those that follow, when it ends or has run for a second. */
const start = `
const { readFileSync, renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const vm = require('node:vm');
// To find out whether it runs at Cloudflare, pg asks this where it is there, and else makes Node 20 load all of fetch.
globalThis.navigator ??= { userAgent: 'Node.js' };
const program = join(__dirname, 'program.js');
const kept = program + '.compiled';
let cachedData;
try { cachedData = readFileSync(kept); } catch {}
// All but its comments is ASCII.
const script = new vm.Script('(function (require, module, exports, __filename) {' + readFileSync(program, 'latin1') + '\\n})', {
  filename: program, cachedData,
});
if (!cachedData) {
  const keep = () => {
    const fresh = kept + process.pid;
    writeFileSync(fresh, script.createCachedData());
    renameSync(fresh, kept);
  };
  process.once('exit', keep);
  setTimeout(keep, 1000).unref();
}
const made = { exports: {} };
script.runInThisContext()(require, made, made.exports, program);
`;
