import { type ChangeGroup, changeKinds, type Position, type ReadChanges } from '@millrace/core/runtime';
import { isoInstant } from '../replication/clock.ts';
import { type PgoutputHandler, pgoutputParser } from '../replication/pgoutput.ts';
import type { ReplicationStream, StreamHandler } from '../replication/stream.ts';
import type { ReplicationConnection } from '../replication/transport.ts';
import { GroupBuilder, groupLimits } from './group-builder.ts';
import { GroupQueue } from './group-queue.ts';
import { type FollowedTable, shapeOf } from './relations.ts';
import type { TableShape } from './table-shape.ts';

export interface ReadParts {
  readonly connection: ReplicationConnection;
  readonly slot: string;
  readonly publication: string;
  readonly after: { readonly position: Position; readonly lsn: bigint };
  readonly toPosition: (lsn: bigint) => Position;
  readonly tables: readonly FollowedTable[];
  readonly binary: boolean;
  readonly streaming: boolean;
  readonly memoryBytes: number;
  /** Told of the stream once it runs, to release positions and to look at it. */
  readonly onStart: (stream: ReplicationStream) => void;
}

/** Reads a slot as groups of whole transactions, until the signal aborts or `until` is reached. */
export async function* readGroups(parts: ReadParts, { signal, until }: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
  if (signal.aborted) return;
  const { connection, slot, publication, after, binary, streaming } = parts;
  let stream: ReplicationStream | undefined;
  let held = 0;
  let isPaused = false;
  const onBytes = (bytes: number): void => {
    held += bytes;
    if (!isPaused && held > parts.memoryBytes) {
      isPaused = true;
      stream?.pause();
    } else if (isPaused && held < parts.memoryBytes / 2) {
      isPaused = false;
      stream?.resume();
    }
  };
  const queue = new GroupQueue(after.position, (bytes) => onBytes(-bytes));
  const builder = new GroupBuilder({ limits: groupLimits, onGroup: (group, bytes) => queue.add(group, bytes), onBytes });
  queue.attach(builder);
  const stop = () => queue.end();
  signal.addEventListener('abort', stop, { once: true });
  try {
    stream = await connection.start({
      slot,
      from: after.lsn,
      options: { publications: [publication], binary, streaming, messages: true },
      handler: changeHandler(parts, builder, queue),
    });
    if (isPaused) stream.pause();
    parts.onStart(stream);
    stream.done.catch((error: unknown) => queue.fail(error));
    for (;;) {
      const group = await queue.next(until);
      if (!group) return;
      yield group;
      if (until !== undefined && group.position() >= until) return;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    builder.fail(stopped);
    await stream?.end();
  }
}

const stopped = new Error('The stream was ended.');

function changeHandler(parts: ReadParts, builder: GroupBuilder, queue: GroupQueue): StreamHandler {
  const { after, toPosition, tables, binary } = parts;
  const followed = new Map(tables.map((table) => [table.catalog.oid, table]));
  const shapes = new Map<number, TableShape>();
  /** The transaction at work has been taken already. */
  let isOld = false;

  const handler: PgoutputHandler = {
    begin(xid, commitLsn, committedAt) {
      isOld = commitLsn < after.lsn;
      builder.begin({ commit: toPosition(commitLsn), committedAt: isoInstant(committedAt), xid: String(xid) });
    },
    commit({ end }) {
      builder.commit(toPosition(end));
      if (builder.hasWhole) queue.committed();
      else queue.moved();
    },
    origin() {},
    type() {},
    relation(relation) {
      const table = followed.get(relation.oid);
      if (!table) return;
      builder.reshape(table.table);
      shapes.set(relation.oid, shapeOf(table, relation, binary));
    },
    insert(relation, row) {
      const shape = shapes.get(relation);
      if (shape && !isOld) builder.change(shape, changeKinds.insert, row, null, null);
    },
    update(relation, old, oldKind, row) {
      const shape = shapes.get(relation);
      if (shape && !isOld) builder.change(shape, changeKinds.update, row, old, oldKind);
    },
    delete(relation, old, oldKind) {
      const shape = shapes.get(relation);
      if (shape && !isOld) builder.change(shape, changeKinds.delete, null, old, oldKind);
    },
    truncate(relations) {
      const names = relations.flatMap((relation) => followed.get(relation)?.table ?? []);
      if (names.length > 0 && !isOld) builder.truncate(names);
    },
    message() {},
    streamStart() {},
    streamStop() {},
    streamCommit() {},
    streamAbort() {},
    beginPrepare() {},
    prepare() {},
    commitPrepared() {},
    rollbackPrepared() {},
    streamPrepare() {},
  };
  return {
    message: pgoutputParser(handler),
    keepalive(walEnd) {
      if (builder.isInTransaction || walEnd <= after.lsn) return;
      builder.moveTo(toPosition(walEnd));
      queue.moved();
    },
  };
}
