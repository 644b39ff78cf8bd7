import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MillraceError, type Position } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import type { StreamHandler } from '../replication/stream.ts';
import type { ReplicationConnection } from '../replication/transport.ts';
import { readGroups } from './change-reader.ts';

/** A stream that is driven by hand: what the server says, and when the line breaks. */
function driven(spoolBytes: number) {
  const spool = mkdtempSync(join(tmpdir(), 'millrace-reader-'));
  let handler: StreamHandler | undefined;
  let cut!: (error: unknown) => void;
  const done = new Promise<void>((_, reject) => {
    cut = reject;
  });
  done.catch(() => {});
  const stream = { done, pause() {}, resume() {}, release() {}, destroy: async () => {}, end: async () => {} };
  const connection = {
    async start(options: { readonly handler: StreamHandler }) {
      handler = options.handler;
      return stream;
    },
  } as unknown as ReplicationConnection;
  const groups = readGroups(
    {
      ...{ pipeline: 'p', slot: 's', publication: 'p', tables: [], binary: true, streaming: true, memoryBytes: 2 ** 20 },
      ...{ connection, spool, spoolBytes, after: { position: '0' as Position, lsn: 0n } },
      session: () => Promise.reject(new Error('nobody looks at the catalog here')),
      toPosition: (lsn) => String(lsn) as Position,
      onStart: async () => {},
    },
    { signal: new AbortController().signal },
  );
  return {
    next: groups.next(),
    says(message: Buffer): void {
      (handler as StreamHandler).message(message, 0, message.length);
    },
    cut: () => cut(new MillraceError('CONNECTION_FAILED', { message: 'The line is cut.', remedy: '' })),
    [Symbol.dispose]: () => rmSync(spool, { recursive: true, force: true }),
  };
}

/** The piece of transaction 7 that follows is from an open transaction. */
const streamStart = Buffer.from([0x53, 0, 0, 0, 7, 1]);
const kilobytes = (count: number): Buffer => Buffer.alloc(count * 1024, 'x');
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a line that breaks while what came is written to a file does not hide that there is no room for the rest of it', async () => {
  using stream = driven(200 * 1024);
  await turn();
  stream.says(streamStart);
  stream.says(kilobytes(130)); // so much is written at once
  stream.says(kilobytes(100)); // waits for that, and is too much
  stream.cut();
  await expect(stream.next).rejects.toMatchObject({ code: 'SPOOL_FULL' });
});

test('a line that breaks is told as that where all that came has its place', async () => {
  using stream = driven(300 * 1024);
  await turn();
  stream.says(streamStart);
  stream.says(kilobytes(130));
  stream.says(kilobytes(100));
  stream.cut();
  await expect(stream.next).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
});
