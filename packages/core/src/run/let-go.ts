import type { Log } from '../connector/index.ts';

/**
 * For `await using`: closes at the end of the block. What goes wrong while closing is logged only: it must neither hide why the
 * block failed, nor make a failure of what has been committed.
 */
export function letGo(resource: AsyncDisposable, what: string, log: Log): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      try {
        await resource[Symbol.asyncDispose]();
      } catch (error) {
        log.warn(`closing ${what} failed: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
  };
}
