import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * The folder for temporary files of a whole test run, whose processes find it as they find any other. It goes as a whole: what is killed
 * in the middle of its work, as half of the tests do with what they start, cannot clear up.
 */
export default function setup(): void {
  if (process.env['MILLRACE_TEST_FOLDER']) return; // another project of this run has made it
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tests-'));
  chmodSync(folder, 0o1777); // servers of a test run under another account where the tests are root's
  process.env['MILLRACE_TEST_FOLDER'] = folder;
  process.env['TMPDIR'] = folder;
  process.once('exit', () => {
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    } catch {
      // A server that a killed test has left behind is just going, with its files.
    }
  });
}
