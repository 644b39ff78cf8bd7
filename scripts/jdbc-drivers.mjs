// JDBC drivers for tests, and the JDK that they need: fetched by Maven, whose checksums are strict, and kept under .millrace/jdbc.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileJava, findJava } from './java.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const pom = join(root, 'scripts', 'jdbc-drivers.pom.xml');
const folder = join(root, '.millrace', 'jdbc');

/** @typedef {{ java: string, jars: Record<'h2' | 'hsqldb' | 'mariadb-java-client' | 'postgresql', string> }} Drivers */

/** Name and version of each, as the pom has them. */
const wanted = () =>
  [...readFileSync(pom, 'utf8').matchAll(/<artifactId>([^<]+)<\/artifactId>\s*<version>([^<]+)<\/version>\s*<\/dependency>/g)].map(
    ([, name = '', version = '']) => ({ name, file: join(folder, `${name}-${version}.jar`) }),
  );

/** @returns {Drivers | { missing: string }} */
export function findDrivers() {
  const java = findJava();
  if ('missing' in java) return java;
  if (!existsSync(join(root, 'packages', 'connectors', 'dist', 'java', 'sources.sha256')))
    return { missing: 'the Java part of @millrace/connectors is not compiled ("node scripts/java.mjs" does it, with a JDK)' };
  const drivers = wanted();
  const lacking = drivers.find(({ file }) => !existsSync(file));
  if (lacking) return { missing: `no driver ${lacking.name} under .millrace/jdbc ("node scripts/jdbc-drivers.mjs" puts it there)` };
  return { java: java.command, jars: /** @type {Drivers['jars']} */ (Object.fromEntries(drivers.map(({ name, file }) => [name, file]))) };
}

/**
 * Finds the drivers, or has Maven fetch them. Never fails: tests of JDBC are left out, and the reason is printed.
 * @returns {Drivers | { missing: string }}
 */
export function provideDrivers() {
  const compiled = compileJava();
  if ('missing' in compiled) return compiled;
  const found = findDrivers();
  if ('jars' in found) return found;
  console.error('Fetching JDBC drivers, which the tests use, to .millrace/jdbc');
  const making = `${folder}.${process.pid}`; // whole or not at all: other runs look for it meanwhile
  mkdirSync(making, { recursive: true });
  try {
    const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
    const args = ['-q', '-B', '-C', '-f', pom, goal, '-DexcludeTransitive=true', `-DoutputDirectory=${making}`];
    const { status, error, stdout } = spawnSync('mvn', args, { encoding: 'utf8', timeout: 600_000 });
    if (error) return { missing: `no JDBC drivers, and no Maven that could fetch them: ${error.message}` };
    if (status !== 0) return { missing: `no JDBC drivers: Maven could not fetch them: ${stdout.trim().split('\n')[0]}` };
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(making)) renameSync(join(making, name), join(folder, name));
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return findDrivers();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(provideDrivers());
