import { sweepFences } from '../fence.ts';
import { noteKey, sweepOrphans } from '../staged.ts';
import { passing } from './failpoints.ts';
import type { Packed, Packing } from './pack.ts';

const hourMs = 3_600_000;

/** Takes away what no manifest needs. All of it may fail, and is then done later. */
export class Tidying {
  readonly #packing: Packing;
  readonly #orphanHours: number;
  #swept: number | null = null;

  constructor(packing: Packing, orphanHours: number) {
    this.#packing = packing;
    this.#orphanHours = orphanHours;
  }

  /** After the manifest that lists these files. Notes go at once, files of attempts that died once an hour. */
  async after(files: readonly Packed[]): Promise<void> {
    const { storage, context } = this.#packing;
    try {
      if (files.length > 0) await storage.delete(files.map(({ note }) => note));
      const now = context.now().getTime();
      if (this.#swept === null || now - this.#swept >= hourMs) {
        this.#swept = now;
        await this.#sweep(new Date(now));
      }
      passing('s3.log.tidied');
    } catch (error) {
      context.log.warn(
        `tidying up under ${storage.url} failed, and is done again later: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  async #sweep(now: Date): Promise<void> {
    const { storage, context, stream, epoch } = this.#packing;
    // A first copy may take days, and its files are listed at its end.
    const own = noteKey(stream, epoch, '');
    const isAlive = (note: string) => note.startsWith(own.slice(0, -'.json'.length));
    const orphans = await sweepOrphans(storage, now, this.#orphanHours, isAlive);
    if (orphans > 0) context.log.info(`${orphans} files that no manifest lists were deleted from ${storage.url}`);
    const before = new Date(now.getTime() - this.#orphanHours * hourMs);
    await sweepFences(storage, before);
    await storage.sweep(before);
  }
}
