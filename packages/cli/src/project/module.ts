import { pathToFileURL } from 'node:url';
import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import { readTypeScript } from '@millrace/worker';

/**
 * Imports a file of the user's project.
 *
 * @throws CONFIG_INVALID where the file does not load, with what it said
 */
export async function importModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  await readTypeScript(file);
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    if (isMillraceError(error)) throw error;
    throw new MillraceError('CONFIG_INVALID', {
      message: `${file} does not load: ${error instanceof Error ? error.message : String(error)}`,
      remedy: 'Correct the file, or install what it imports. --debug shows where it stopped.',
      cause: error,
    });
  }
}
