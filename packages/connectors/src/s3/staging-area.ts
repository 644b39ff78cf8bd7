import { createHash, randomUUID } from 'node:crypto';
import type { Context, Fence, LoadOwner } from '@millrace/core/runtime';
import type { Storage } from './storage.ts';

/**
 * Files that a database is told to read, under `<owner>/<epoch>/`. They are nobody's once their attempt has been fenced off in the
 * database, since a fenced attempt reads none of them.
 */
export class StagingArea implements AsyncDisposable {
  readonly storage: Storage;
  protected readonly context: Context;
  readonly #owner: string;
  readonly #epoch: string;

  constructor(storage: Storage, context: Context, owner: LoadOwner, fence: Fence) {
    this.storage = storage;
    this.context = context;
    this.#owner = `${createHash('sha256')
      .update(JSON.stringify([owner.pipeline, owner.step, fence.key]))
      .digest('hex')
      .slice(0, 24)}/`;
    this.#epoch = `${this.#owner}${String(fence.epoch).padStart(20, '0')}/`;
  }

  /** For a file of this attempt, which several processes may work at. */
  key(ending: string): string {
    return `${this.#epoch}${randomUUID()}.${ending}`;
  }

  /** Takes away what is not needed any more: files of this attempt, or all of those before it. What fails is left to the next attempt. */
  async tidy(files: readonly { readonly key: string }[] | 'of earlier attempts'): Promise<void> {
    try {
      const keys: string[] = [];
      if (files !== 'of earlier attempts') keys.push(...files.map(({ key }) => key));
      else for await (const { key } of this.storage.list(this.#owner)) if (key < this.#epoch) keys.push(key);
      if (keys.length > 0) await this.storage.delete(keys);
    } catch (error) {
      this.context.log.warn(
        `staged files under ${this.storage.url} could not be deleted: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.storage[Symbol.asyncDispose]();
  }
}
