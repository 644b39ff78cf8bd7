import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

/**
 * A program of a test with all that it imports, and that of DuckDB's process, each as one file of JavaScript: they start in a fifth of the
 * time that the sources take, and tests that kill processes start hundreds. `entry` is its address: `new URL('./attempt.ts', import.meta.url)`.
 */
export async function bundled(entry: URL): Promise<{ readonly file: string } & AsyncDisposable> {
  const directory = await mkdtemp(path.join(tmpdir(), 'millrace-program-'));
  await build({
    entryPoints: {
      program: fileURLToPath(entry),
      child: fileURLToPath(new URL('../packages/connectors/src/duckdb/child.ts', import.meta.url)),
    },
    bundle: true,
    // Split, so that the AWS client is loaded only where it is used; only ES modules can be.
    splitting: true,
    mainFields: ['module', 'main'],
    platform: 'node',
    format: 'esm',
    target: 'node20',
    banner: { js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);" },
    conditions: ['millrace-source'],
    outdir: directory,
    plugins: [installed],
    logLevel: 'error',
  });
  await writeFile(path.join(directory, 'package.json'), '{"type":"module"}');
  return { file: path.join(directory, 'program.js'), [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

const fromConnectors = createRequire(new URL('../packages/connectors/package.json', import.meta.url));

/** What has native parts or is large stays where it is installed; the bundle lies elsewhere, so it names them by their place. */
const installed: Plugin = {
  name: 'installed',
  setup(bundle) {
    bundle.onResolve({ filter: /^@duckdb\// }, ({ path: name }) => ({
      path: pathToFileURL(fromConnectors.resolve(name)).href,
      external: true,
    }));
    bundle.onResolve({ filter: /^pg-native$/ }, ({ path: name }) => ({ path: name, external: true }));
  },
};
