import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface TaskFiles {
  put(file: Written): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
}

/** A directory, whose files have the times of the task's own clock. */
export const filesIn = (folder: string): TaskFiles => ({
  async put({ key, body, modified }) {
    const path = join(folder, key);
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    writeFileSync(path, body);
    utimesSync(path, modified, modified);
  },
  async remove(keys) {
    for (const key of keys) rmSync(join(folder, key), { force: true });
  },
});

/** A file that DMS has written, and that has not arrived yet. */
export interface Written {
  readonly key: string;
  readonly body: Buffer;
  readonly modified: Date;
}
