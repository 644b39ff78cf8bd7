// Who may import whom. Packages first, then the floors inside core: a folder imports only folders above it in the list.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @type {Record<string, string[]>} */
const mayImport = {
  core: [],
  connectors: ['core'],
  transforms: ['core'],
  worker: ['core'],
  'step-functions': ['core'],
  ui: ['core'],
  cli: ['core', 'worker', 'step-functions', 'ui', 'connectors'],
};
const floors = ['error', 'schema', 'batch', 'connector', 'author', 'plan', 'state', 'run', 'executor', 'testing'];

/**
 * What stands the wrong way round in the repository at `root`, a line each.
 * @param {string} root
 */
export function wrongWay(root) {
  /** @type {string[]} */
  const wrong = [];
  for (const name of readdirSync(join(root, 'packages'))) {
    const allowed = mayImport[name];
    if (!allowed) {
      wrong.push(`packages/${name}: unknown to scripts/direction.mjs; say there what it may import.`);
      continue;
    }
    const folder = join(root, 'packages', name);
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const declared = new Set([...Object.keys(manifest.dependencies ?? {}), ...Object.keys(manifest.peerDependencies ?? {})]);
    for (const dependency of declared) {
      const sibling = /^@millrace\/(.+)$/.exec(dependency)?.[1];
      if (sibling ? !allowed.includes(sibling) : name === 'core')
        wrong.push(`packages/${name}/package.json: may not depend on ${dependency}.`);
    }
    for (const file of sources(join(folder, 'src'))) {
      const test = /\.test(-d)?\.ts$/.test(file);
      for (const imported of importsOf(readFileSync(file, 'utf8'))) {
        const fault = imported.startsWith('.')
          ? besideFault(name, folder, file, imported, test)
          : test
            ? null
            : packageFault(name, allowed, declared, imported);
        if (fault) wrong.push(`${relative(root, file)}: ${fault}`);
      }
    }
  }
  return wrong;
}

/**
 * @param {string} name
 * @param {string[]} allowed
 * @param {Set<string>} declared
 * @param {string} imported
 */
function packageFault(name, allowed, declared, imported) {
  if (imported.startsWith('node:')) return null;
  if (builtinModules.includes(imported)) return `write "node:${imported}".`;
  const dependency = imported
    .split('/')
    .slice(0, imported.startsWith('@') ? 2 : 1)
    .join('/');
  const sibling = /^@millrace\/(.+)$/.exec(dependency)?.[1];
  if (sibling === name) return `imports its own package by name ("${imported}").`;
  if (sibling && !allowed.includes(sibling))
    return `${name} may not import ${imported}; it may import ${allowed.join(', ') || 'no package'}.`;
  if (!declared.has(dependency)) return `imports ${imported}, which packages/${name}/package.json does not declare.`;
  return null;
}

/**
 * @param {string} name
 * @param {string} folder
 * @param {string} file
 * @param {string} imported
 * @param {boolean} test
 */
function besideFault(name, folder, file, imported, test) {
  const target = resolve(dirname(file), imported);
  if (!target.startsWith(folder + sep)) return test ? null : `imports ${imported}, which is outside its package.`;
  if (name !== 'core' || test) return null;
  const [from, to] = [file, target].map((path) => relative(join(folder, 'src'), path).split(sep));
  if (!from || !to || from.length === 1) return null; // an entry: index, runtime, testing
  const here = floors.indexOf(from[0] ?? '');
  if (here < 0) return `the folder ${from[0]} is on no floor; put it into the list in scripts/direction.mjs.`;
  if (to.length === 1) return `imports ${imported}: only entries may import an entry.`;
  if (from[0] !== to[0] && floors.indexOf(to[0] ?? '') > here) return `${from[0]} may not import ${to[0]}, which stands below it.`;
  return null;
}

/**
 * Import and export statements, `import()` and `import('…')` types; comments and templates are taken away first.
 * @param {string} text
 */
function importsOf(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|`(?:\\[\s\S]|[^`\\])*`|(['"])(?:\\.|(?!\1)[^\\\n])*\1/g, (token) =>
    /^['"]/.test(token) ? token : ' ',
  );
  const statement = /(?:^|[\n;}])\s*(?:import|export)\s(?:[^'"`;]*?\sfrom\s*)?['"]([^'"\n]+)['"]|\bimport\s*\(\s*['"]([^'"\n]+)['"]/g;
  return [...code.matchAll(statement)].map((match) => match[1] ?? match[2] ?? '').filter(Boolean);
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function sources(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sources(path);
    return path.endsWith('.ts') ? [path] : [];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wrong = wrongWay(fileURLToPath(new URL('..', import.meta.url)));
  for (const line of wrong) console.error(line);
  if (wrong.length > 0) process.exitCode = 1;
}
