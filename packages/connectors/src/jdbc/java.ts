import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MillraceError } from '@millrace/core/runtime';

/** How Java is started. */
export interface JavaSettings {
  /** Folder of a JRE or JDK, 11 or later; else JAVA_HOME, and without that the `java` on PATH. */
  readonly home?: string;
  /** For the JVM, before the program: `['-Xmx1g']`. 512 MB of heap where nothing is said of it. */
  readonly args?: readonly string[];
}

export interface Java {
  readonly command: string;
  readonly args: readonly string[];
}

const oldest = 11;

/**
 * The command that starts our program. UTC: then java.sql's classes have no hour that does not exist. English: some drivers ask for their
 * language by the JVM's.
 *
 * @throws CONFIG_INVALID where there is no Java
 */
export function javaCommand({ home, args = [] }: JavaSettings = {}): Java {
  const command = findJava(home);
  if (command === null) {
    throw new MillraceError('CONFIG_INVALID', {
      message: home
        ? `There is no Java at ${home}.`
        : 'JDBC drivers need Java, and there is none: JAVA_HOME is not set, and "java" is not on PATH.',
      remedy: `Install a Java runtime, ${oldest} or later (Debian: default-jre-headless), or name its folder with java: { home: '/usr/lib/jvm/…' }.`,
    });
  }
  const heap = args.some((arg) => arg.startsWith('-Xmx')) ? [] : ['-Xmx512m'];
  const fixed = ['-Duser.timezone=UTC', '-Duser.language=en', '-Duser.country=US', '-Dfile.encoding=UTF-8', '-Djava.awt.headless=true'];
  return { command, args: [...heap, ...args, ...fixed, '-cp', classes(), 'millrace.jdbc.Main'] };
}

/** Null where there is none. */
export function findJava(home = process.env['JAVA_HOME']): string | null {
  const name = process.platform === 'win32' ? 'java.exe' : 'java';
  const folders = home ? [join(home, 'bin')] : (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, name)).find(executable) ?? null;
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Our classes, which the package brings with it; in a work tree the build makes them. @throws CONFIG_INVALID */
function classes(): string {
  const here = import.meta.url.endsWith('.ts') ? '../../dist/java' : '../java';
  const folder = fileURLToPath(new URL(here, import.meta.url));
  if (existsSync(join(folder, 'millrace', 'jdbc', 'Main.class'))) return folder;
  throw new MillraceError('CONFIG_INVALID', {
    message: 'The Java part of @millrace/connectors was not compiled: this copy of the package was built where there was no JDK.',
    remedy: 'Install the package from the registry, or run "node scripts/java.mjs" in the work tree with a JDK at hand.',
    facts: { folder },
  });
}

/** `17.0.15`; null where it cannot be asked. */
export async function javaVersion({ home }: JavaSettings = {}): Promise<string | null> {
  const command = findJava(home);
  if (!command) return null;
  try {
    const { stdout, stderr } = await promisify(execFile)(command, ['-version'], { timeout: 20_000 });
    return /version "([^"]+)"/.exec(stdout + stderr)?.[1] ?? null;
  } catch {
    return null;
  }
}

/** What a JVM says that is too old for our classes, or has too little memory. */
export function javaFailure(how: string, output: string): MillraceError {
  if (/UnsupportedClassVersionError.*millrace/s.test(output)) {
    return new MillraceError('CONFIG_INVALID', {
      message: 'This Java is too old.',
      remedy: `Use Java ${oldest} or later: java: { home: '/usr/lib/jvm/…' } names another one.`,
      facts: { output },
    });
  }
  if (/OutOfMemoryError|insufficient memory/i.test(output)) {
    return new MillraceError('MEMORY_EXHAUSTED', {
      message: 'The Java process ran out of memory: the rows are very wide, or the driver keeps all rows of an answer.',
      remedy: "Give it more with java: { args: ['-Xmx2g'] }, or read fewer rows at once with fetchSize.",
      facts: { output },
    });
  }
  return new MillraceError('CONNECTION_FAILED', {
    message: `The Java process ${how}, and its connections with it.`,
    remedy: 'Nothing to do: it is tried again with a new one. If it happens each time, look at the output of the driver in the facts.',
    facts: output === '' ? {} : { output },
  });
}
