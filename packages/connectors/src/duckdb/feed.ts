import { createWriteStream } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BytesChannel, MillraceError } from '@millrace/core/runtime';
import type { ConversionContext } from './conversion.ts';
import { rowTooLong } from './failure.ts';
import { lineGuard } from './line-guard.ts';
import { makePipe, openWriter } from './pipe.ts';
import type { DuckDb, Row } from './process.ts';
import { mayHoldLineBreaks } from './types.ts';

/** No conversion seen took a second for a chunk; DuckDB's parallel CSV reader has been known to stop for ever. */
const hungAfterMs = 60_000;
/** Set by the first conversion that hung: later ones of this process read with one thread. */
let suspicious = false;

export interface Feed {
  readonly channel: BytesChannel;
  readonly duckdb: DuckDb;
  /** Of the pipe. */
  readonly path: string;
  readonly rowBytes: number;
  readonly context: ConversionContext;
}

/**
 * Sends the channel's bytes into a pipe that `statement` reads, and answers when both have ended and the source has said how
 * many rows there were. The pipe is closed only after that word: a source that breaks off at the end of a line looks like one
 * that has ended. On any failure of ours or the source's the converter is dead before the pipe closes.
 */
export async function feed(
  job: Feed,
  statement: (parallel: boolean) => Promise<readonly Row[]>,
): Promise<{ rows: number; result: readonly Row[] }> {
  const { channel, duckdb, path } = job;
  let writer: Writable | null = null;
  let watch: NodeJS.Timeout | undefined;
  let running: Promise<readonly Row[]> | null = null;
  try {
    if (!(await makePipe(dirname(path), basename(path)))) {
      // No named pipes here (Windows): the whole stream stands in a file before the statement begins.
      const { rows } = await send(job, createWriteStream(path));
      return { rows, result: await statement(!suspicious) };
    }
    let failed = false;
    running = statement(!suspicious);
    const stopped = running.then(
      () => new Promise<never>(() => {}),
      (error: unknown) => {
        failed = true;
        throw error;
      },
    );
    stopped.catch(() => {});
    writer = await openWriter(path, () => failed);
    if (!writer) return await stopped;
    const open = writer;
    watch = setInterval(() => {
      const waitsForUs = !open.writableEnded && !open.writableNeedDrain;
      if (waitsForUs || duckdb.idleMs() < hungAfterMs) return;
      suspicious = true;
      void duckdb.kill(hung());
    }, 5_000).unref();
    // A source that is silent does not keep a failure waiting.
    const { rows } = await Promise.race([send(job, open), stopped]);
    return { rows, result: await running };
  } catch (caught) {
    const error = (caught as NodeJS.ErrnoException).code === 'EPIPE' ? await reasonOf(running, caught) : caught;
    if (duckdb.busy) await duckdb.kill(error as Error);
    channel.stream.destroy(error as Error);
    throw error;
  } finally {
    clearInterval(watch);
    writer?.destroy();
  }
}

async function send({ channel, rowBytes, context }: Feed, writer: Writable): Promise<{ rows: number }> {
  const guard = channel.schema.columns.some(({ type }) => mayHoldLineBreaks(type)) ? lineGuard() : (chunk: Buffer) => chunk;
  let broken: Error | null = null;
  writer.on('error', (error) => {
    broken = error;
  });
  const check = () => {
    if (broken) throw broken;
  };
  /** Bytes since the last row's end. DuckDB passes over a row that is longer than its buffer without a word. */
  let unfinished = 0;
  for await (const chunk of channel.stream as AsyncIterable<Buffer>) {
    check();
    context.progress({ bytes: chunk.length });
    const bytes = guard(chunk);
    const first = bytes.indexOf(lineFeed);
    if (unfinished + (first < 0 ? bytes.length : first) >= rowBytes) throw rowTooLong();
    unfinished = first < 0 ? unfinished + bytes.length : bytes.length - bytes.lastIndexOf(lineFeed) - 1;
    if (!writer.write(bytes)) await drained(writer);
  }
  check();
  const count = await channel.done;
  check();
  writer.end();
  await finished(writer, { readable: false });
  return count;
}

const lineFeed = 0x0a;

/** A pipe that broke says only that the converter has stopped; why, the converter says on its own channel a moment later. */
async function reasonOf(running: Promise<unknown> | null, broken: unknown): Promise<unknown> {
  const early = new MillraceError('WIRE_CORRUPT', {
    message: 'The converter stopped reading before the end of its input.',
    remedy: 'The part was thrown away and is made again.',
    cause: broken,
  });
  const answer = running?.then(
    () => early,
    (error: unknown) => error,
  );
  return Promise.race([answer, sleep(5_000, early, { ref: false })]);
}

export function drained(writer: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      writer.off('drain', done).off('close', done).off('error', done);
      resolve();
    };
    if (writer.destroyed) done();
    else writer.on('drain', done).on('close', done).on('error', done);
  });
}

function hung(): MillraceError {
  return new MillraceError('WIRE_CORRUPT', {
    message: `The converter made no progress for ${hungAfterMs / 1000} seconds and was stopped.`,
    remedy: 'The part is made again, with one reading thread.',
  });
}
