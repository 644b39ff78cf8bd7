import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundle } from './bundle.ts';
import { placeFor } from './place-for.ts';
import { remember } from './places.ts';
import { mapOfSnapshot } from './snapshot.ts';

/** From our own sources (tests, bench) a loader of TypeScript is at work already, and it knows our packages by their sources. */
const fromSource = import.meta.url.endsWith('.ts');

let imported = 0;

/** Imports a file of the user's project as it is now, TypeScript or JavaScript. @throws what the file throws, or an Error that says why it does not parse */
export async function importFile(file: string): Promise<Readonly<Record<string, unknown>>> {
  const ready = await mapOfSnapshot(file);
  if (ready !== null) remember(file, ready);
  if (fromSource || !/\.[cm]?tsx?$/.test(file)) return import(`${pathToFileURL(file).href}${await version(file)}`);
  const place = await placeFor(file);
  const module = join(place, `pipeline-${process.pid}-${++imported}.mjs`);
  const { code, map } = await bundle(file, module);
  remember(module, map);
  await writeFile(module, code);
  try {
    return await import(pathToFileURL(module).href);
  } catch (error) {
    // Node names the importer of a package that is not there.
    if (error instanceof Error) error.message = error.message.replaceAll(module, file);
    throw error;
  } finally {
    await rm(module, { force: true });
  }
}

const firstSeen = new Map<string, number>();

/** Node keeps modules for ever: a file that has changed since it was first imported needs another name. */
async function version(file: string): Promise<string> {
  const { mtimeMs } = await stat(file);
  const first = firstSeen.get(file) ?? mtimeMs;
  firstSeen.set(file, first);
  return first === mtimeMs ? '' : `?version=${mtimeMs}`;
}
