import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import { importFile } from '@millrace/worker';

/**
 * Imports a file of the user's project.
 *
 * @throws CONFIG_INVALID where the file does not load, with what it said
 */
export async function importModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return await importFile(file);
  } catch (error) {
    if (isMillraceError(error)) throw error;
    throw new MillraceError('CONFIG_INVALID', {
      message: `${file} does not load: ${error instanceof Error ? error.message : String(error)}`,
      remedy: 'Correct the file, or install what it imports. --debug shows where it stopped.',
      cause: error,
    });
  }
}
