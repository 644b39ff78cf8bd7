import { createWriteStream } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BytesChannel, MillraceError } from '@millrace/core/runtime';
import type { ConversionContext } from './conversion.ts';
import { lineGuard } from './line-guard.ts';
import { makePipe, openWriter } from './pipe.ts';
import type { DuckDb, Row } from './process.ts';
import { mayHoldLineBreaks } from './types.ts';

/** No conversion seen took a second for a chunk; DuckDB's parallel CSV reader has been known to stop for ever. */
const hungAfterMs = 60_000;
/** Set by the first conversion that hung: later ones of this process read with one thread. */
let suspicious = false;

/**
 * Sends the channel's bytes into a pipe that `statement` reads, and answers when both have ended and the source has said how
 * many rows there were. The pipe is closed only after that word: a source that breaks off at the end of a line looks like one
 * that has ended. On any failure the converter is dead before the pipe closes.
 */
export async function feed(
  channel: BytesChannel,
  duckdb: DuckDb,
  path: string,
  context: ConversionContext,
  statement: (parallel: boolean) => Promise<readonly Row[]>,
): Promise<{ rows: number; result: readonly Row[] }> {
  channel.done.catch(() => {});
  const guard = channel.schema.columns.some(({ type }) => mayHoldLineBreaks(type)) ? lineGuard() : (chunk: Buffer) => chunk;
  const piped = await makePipe(dirname(path), basename(path));
  let writer: Writable | null = null;
  let watch: NodeJS.Timeout | undefined;
  let running: Promise<readonly Row[]> | null = null;
  try {
    if (!piped) {
      // No named pipes here (Windows): the whole stream stands in a file before the statement begins.
      const { rows } = await send(channel, guard, createWriteStream(path), context, () => {});
      return { rows, result: await statement(!suspicious) };
    }
    let failure: { readonly error: unknown } | null = null;
    running = statement(!suspicious);
    running.catch((error: unknown) => {
      failure = { error };
      writer?.destroy();
      channel.stream.destroy(error as Error);
    });
    const stillRunning = () => {
      if (failure) throw failure.error;
    };
    watch = setInterval(() => {
      const waitsForUs = writer !== null && !writer.writableEnded && !writer.writableNeedDrain;
      if (waitsForUs || duckdb.idleMs() < hungAfterMs) return;
      suspicious = true;
      void duckdb.kill(hung());
    }, 5_000).unref();
    writer = await openWriter(path, stillRunning);
    const { rows } = await send(channel, guard, writer, context, stillRunning);
    return { rows, result: await running };
  } catch (caught) {
    const error = (caught as NodeJS.ErrnoException).code === 'EPIPE' ? await reasonOf(running, caught) : caught;
    await duckdb.kill(error as Error);
    if (!channel.stream.destroyed) channel.stream.destroy(error as Error);
    throw error;
  } finally {
    clearInterval(watch);
    writer?.destroy();
  }
}

async function send(
  channel: BytesChannel,
  guard: (chunk: Buffer) => Buffer,
  writer: Writable,
  context: ConversionContext,
  stillRunning: () => void,
): Promise<{ rows: number }> {
  let broken: Error | null = null;
  writer.on('error', (error) => {
    broken = error;
  });
  const check = () => {
    stillRunning();
    if (broken) throw broken;
  };
  for await (const chunk of channel.stream as AsyncIterable<Buffer>) {
    check();
    context.progress({ bytes: chunk.length });
    if (!writer.write(guard(chunk))) await drained(writer);
  }
  check();
  const count = await channel.done;
  check();
  writer.end();
  await finished(writer, { readable: false }).catch(() => {});
  check();
  return count;
}

/** A pipe that broke says only that the converter has stopped; why, the converter says on its own channel a moment later. */
async function reasonOf(running: Promise<unknown> | null, broken: unknown): Promise<unknown> {
  const answer = running?.then(
    () => broken,
    (error: unknown) => error,
  );
  return Promise.race([answer, sleep(5_000, broken, { ref: false })]);
}

function drained(writer: Writable): Promise<void> {
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
