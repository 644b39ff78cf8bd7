import { pathToFileURL } from 'node:url';
import type { Plugin } from 'esbuild';

export interface Bundle {
  readonly code: string;
  /** Source map, JSON. */
  readonly map: string;
  /** The files in it, from the working directory. */
  readonly inputs: readonly string[];
}

const importMetaUrl = '__millraceFileUrl';

/**
 * The TypeScript of a pipeline in one JavaScript module: the file and those that it imports by path. Packages stay imports. It
 * means the same on every version of Node (enums, paths of tsconfig.json, imports without an extension), and is several times
 * faster than hooks that look at every module of every package. Each file keeps its own `import.meta.url`.
 *
 * @throws an Error that names the place, where the files do not parse or are not there
 */
export async function bundle(file: string, outfile: string): Promise<Bundle> {
  const { build } = await import('esbuild');
  const result = await build({
    entryPoints: [file],
    outfile,
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: 'external',
    metafile: true,
    sourcesContent: false,
    logLevel: 'silent',
    define: { 'import.meta.url': importMetaUrl },
    plugins: [ownUrl],
  }).catch((error: { readonly errors?: readonly { readonly text: string; readonly location: Location | null }[] }) => {
    throw new Error(
      (error.errors ?? [])
        .map(({ text, location }) => `${text}${location ? ` (${location.file}:${location.line}:${location.column})` : ''}`)
        .join('\n') || String(error),
    );
  });
  const [map, code] = [...result.outputFiles].sort((a) => (a.path.endsWith('.map') ? -1 : 1));
  return { code: code?.text ?? '', map: map?.text ?? '{}', inputs: Object.keys(result.metafile.inputs) };
}

interface Location {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** In one module there is one `import.meta.url`; files that read something beside them want their own. */
const ownUrl: Plugin = {
  name: 'own-url',
  setup(build) {
    build.onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
      const { readFile } = await import('node:fs/promises');
      const text = await readFile(path, 'utf8');
      if (!text.includes('import.meta.url')) return undefined;
      const loader = /\.[cm]?ts$/.test(path) ? 'ts' : /\.tsx$/.test(path) ? 'tsx' : /\.jsx$/.test(path) ? 'jsx' : 'js';
      // On the first line, so that the others keep their numbers.
      return { contents: `const ${importMetaUrl} = ${JSON.stringify(pathToFileURL(path).href)}; ${text}`, loader };
    });
  },
};
