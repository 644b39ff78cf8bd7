import type { ChangePart, ColumnBatch, SchemaChange, TableChanges, TableTruncate } from '@millrace/core/runtime';

/** Changes between two barriers, by table, or as many of them as are held in memory at once. */
export interface Segment {
  readonly kind: 'segment';
  readonly changes: ReadonlyMap<string, readonly TableChanges[]>;
}

export type Act = Segment | TableTruncate | SchemaChange;

/**
 * Holding more costs memory. Fewer would make a giant transaction one of many subtransactions, and beyond 64 of them the server's snapshots
 * grow slow for everybody.
 */
const most = { rows: 200_000, bytes: 24 * 1024 * 1024 } as const;

export async function* segmentsOf(parts: AsyncIterable<ChangePart> | Iterable<ChangePart>): AsyncGenerator<Act> {
  let changes = new Map<string, TableChanges[]>();
  let rows = 0;
  let bytes = 0;
  const take = (): Segment => {
    const taken: Segment = { kind: 'segment', changes };
    changes = new Map();
    rows = 0;
    bytes = 0;
    return taken;
  };
  for await (const part of parts) {
    if (part.kind !== 'changes') {
      if (changes.size > 0) yield take();
      yield part;
      continue;
    }
    if (part.kinds.length === 0) continue;
    const size = bytesOf(part.rows) + (part.old ? bytesOf(part.old) : 0);
    if (rows > 0 && (rows + part.kinds.length > most.rows || bytes + size > most.bytes)) yield take();
    const known = changes.get(part.table);
    if (known) known.push(part);
    else changes.set(part.table, [part]);
    rows += part.kinds.length;
    bytes += size;
  }
  if (changes.size > 0) yield take();
}

/** About: shared memory counts once, and a value that is no bytes as a few words. */
function bytesOf(batch: ColumnBatch): number {
  const seen = new Set<Buffer>();
  let bytes = 0;
  for (const { encoded } of batch.vectors) {
    if (!encoded) bytes += batch.rowCount * 24;
    else if (!seen.has(encoded.data)) {
      seen.add(encoded.data);
      bytes += encoded.data.length;
    }
  }
  return bytes;
}
