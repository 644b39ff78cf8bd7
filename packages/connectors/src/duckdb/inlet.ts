import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ConversionContext } from './conversion.ts';
import { drained } from './feed.ts';
import { makePipe, openWriter } from './pipe.ts';
import type { DuckDb, Row } from './process.ts';

/** Rows of a file that a statement reads from a pipe of this name. */
export interface Inlet {
  readonly name: string;
  /** Goes through a file: for a little, making a pipe takes longer than all the rest. */
  readonly isSmall?: boolean;
  /** Each call begins anew. @throws FILE_CORRUPT */
  bytes(): AsyncIterable<Buffer>;
  /** Rows that the last `bytes` gave. */
  rows(): number;
}

/**
 * Runs a statement whose inputs come from here, each in a pipe of its own, opened in whatever order DuckDB wants them. Where one of
 * them turns out to be corrupt, the converter is killed before the pipe ends. Answers with the rows that went in.
 */
export async function runWith(
  duckdb: DuckDb,
  sql: string,
  values: readonly string[],
  inlets: readonly Inlet[],
  context: ConversionContext,
): Promise<{ result: readonly Row[]; rows: number }> {
  let stopped = false;
  try {
    const piped: boolean[] = [];
    for (const { name, isSmall } of inlets) piped.push(!isSmall && (await makePipe(context.spool, name)));
    for (const [index, inlet] of inlets.entries()) {
      if (!piped[index])
        await fill(
          inlet,
          createWriteStream(join(context.spool, inlet.name)),
          () => false,
          () => {},
        );
    }
    const running = duckdb.run(sql, values).finally(() => {
      stopped = true;
    });
    const feeds = inlets
      .filter((_, index) => piped[index])
      .map(async (inlet) => {
        const writer = await openWriter(join(context.spool, inlet.name), () => stopped);
        if (writer)
          await fill(
            inlet,
            writer,
            () => stopped,
            (error) => void (stopped || duckdb.kill(error)),
          );
      });
    for (const feed of feeds) feed.catch(() => {});
    const result = await running;
    await Promise.allSettled(feeds);
    return { result, rows: inlets.reduce((sum, inlet) => sum + inlet.rows(), 0) };
  } finally {
    await Promise.all(inlets.map(({ name }) => rm(join(context.spool, name), { force: true })));
  }
}

/** A reader that wants no more, or has failed, is no failure here: its own answer says what it is. */
async function fill(inlet: Inlet, writer: Writable, stopped: () => boolean, broken: (error: Error) => void): Promise<void> {
  let gone = false;
  writer.on('error', () => {
    gone = true;
  });
  try {
    for await (const chunk of inlet.bytes()) {
      if (gone || stopped()) return;
      if (chunk.length > 0 && !writer.write(chunk)) await drained(writer);
    }
    writer.end();
    await finished(writer, { readable: false }).catch(() => {});
  } catch (error) {
    broken(error as Error);
    throw error;
  } finally {
    if (!writer.writableFinished) writer.destroy();
  }
}
