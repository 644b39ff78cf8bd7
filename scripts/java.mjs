// The Java part of @millrace/connectors: compiled into dist/java where a JDK is there. Quick, and nothing is written where nothing has changed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const connectors = fileURLToPath(new URL('../packages/connectors', import.meta.url));
const sources = join(connectors, 'java');
const classes = join(connectors, 'dist', 'java');
const stamp = join(classes, 'sources.sha256');
/** Classes for this version run on all later ones. */
const release = '11';

/** @returns {{ command: string } | { missing: string }} */
export function findJava() {
  if (process.env.MILLRACE_TEST_JAVA === 'off') return { missing: 'MILLRACE_TEST_JAVA is "off"' };
  const home = process.env.JAVA_HOME;
  const folders = home ? [join(home, 'bin')] : (process.env.PATH ?? '').split(delimiter);
  const command = folders.map((folder) => join(folder, process.platform === 'win32' ? 'java.exe' : 'java')).find(executable);
  return command ? { command } : { missing: `no Java: ${home ? `there is none in ${home}` : 'java is not on PATH'}` };
}

/**
 * Whole or not at all, since tests of several runs use them at once. Never fails for want of a JDK: the reason is answered.
 * @returns {{ classes: string } | { missing: string }}
 */
export function compileJava() {
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.java'))
    .sort();
  const hash = createHash('sha256').update(release);
  for (const name of files) hash.update(`${name}\n`).update(readFileSync(join(sources, name)));
  const wanted = hash.digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return { classes };
  const java = findJava();
  if ('missing' in java) return java;
  const fresh = `${classes}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  try {
    // The compiler is a module of every JDK and of no JRE.
    const compiler = ['-m', 'jdk.compiler/com.sun.tools.javac.Main', '--release', release, '-Xlint:all', '-Werror', '-d', fresh];
    const { status, stderr, error } = spawnSync(java.command, [...compiler, ...files.map((name) => join(sources, name))], {
      encoding: 'utf8',
    });
    if (/Module jdk\.compiler not found|FindException/.test(stderr ?? '')) return { missing: `no JDK: ${java.command} is that of a JRE` };
    if (status !== 0) throw new Error(`The Java part of @millrace/connectors does not compile:\n${error?.message ?? stderr}`);
    writeFileSync(join(fresh, 'sources.sha256'), wanted);
    const old = `${classes}.old.${process.pid}`;
    if (existsSync(classes)) renameSync(classes, old);
    renameSync(fresh, classes);
    rmSync(old, { recursive: true, force: true });
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return { classes };
}

/** @param {string} path */
function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const made = compileJava();
  if ('missing' in made)
    console.error(`The Java part of @millrace/connectors is left out: ${made.missing}. JDBC connections will not work from here.`);
}
