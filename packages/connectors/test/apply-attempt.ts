/**
 * One attempt at a stream into a database, in a process that a test kills: first copies, groups of transactions, a copy beside, more groups.
 * It begins where the target is, as the engine does. `node apply-attempt.js '{"url": …, "mode": …, "epoch": …}'`.
 */
import { int8, table, text } from '@millrace/core';
import { type ChangeSink, type Position, positionOf } from '@millrace/core/runtime';
import { mysql } from '../src/mysql/connection.ts';
import { applyTarget } from '../src/postgres/apply/apply-target.ts';
import type { ApplyMode } from '../src/postgres/apply/settings.ts';
import { type Change, groupOf, positionAt, streamOf, type Transaction } from './hand-made.ts';
import { batches, type Row, split, testContext } from './load.ts';

export interface ApplyErrand {
  readonly url: string;
  readonly mode: ApplyMode;
  readonly epoch: number;
}

const things = table('public.things', { id: int8(), name: text().orNull() }, { key: ['id'] });
const others = table('public.others', { id: int8(), name: text().orNull() }, { key: ['id'] });
const wider = { ...things, columns: [...things.columns, { name: 'size', type: { kind: 'int8' }, nullable: true } as const] };
const widest = { ...things, columns: [...wider.columns, { name: 'colour', type: { kind: 'text' }, nullable: true } as const] };
const tables = { things, others };
const row = (id: number, name: string): Row => ({ id: BigInt(id), name });
const insert = (table: string, id: number, name: string, more: Row = {}): Change => ({
  op: 'insert',
  table,
  row: { ...row(id, name), ...more },
});
const update = (table: string, id: number, name: string): Change => ({ op: 'update', table, row: row(id, name) });
const copiedAt = 5;

/** A group for each list. */
const groups: readonly (readonly Transaction[])[] = [
  [
    { at: 10, changes: [insert('things', 10, 'ten'), insert('others', 10, 'ten'), update('things', 1, 'one again')] },
    { at: 12, changes: [update('things', 10, 'ten again'), { op: 'delete', table: 'others', old: { id: 1n } }] },
  ],
  [{ at: 20, changes: Array.from({ length: 700 }, (_, id) => insert('things', 100 + id, `many ${id}`)) }],
  [{ at: 30, changes: [{ op: 'truncate', tables: ['others'] }, insert('others', 30, 'after'), update('things', 2, 'two again')] }],
  [
    {
      at: 40,
      changes: [
        {
          op: 'schema',
          table: 'things',
          schema: wider,
          changes: [{ change: 'add', column: { name: 'size', type: { kind: 'int8' }, nullable: true }, fill: '7' }],
        },
        insert('things', 40, 'forty', { size: 4n }),
      ],
    },
  ],
  // Rows change before the columns do, in a way that cannot be done twice.
  [
    {
      at: 50,
      changes: [
        { op: 'update', table: 'things', row: { id: 91n, name: null, size: 9n }, unchanged: ['name'], old: { id: 1n } },
        {
          op: 'schema',
          table: 'things',
          schema: widest,
          changes: [{ change: 'add', column: { name: 'colour', type: { kind: 'text' }, nullable: true }, fill: 'red' }],
        },
        insert('things', 50, 'fifty', { size: 5n, colour: 'blue' }),
      ],
    },
    { at: 52, changes: [update('others', 2, 'two at last')] },
  ],
];
/** What the columns of `things` are when a group begins. */
const tablesOf = (group: number) => (group === groups.length - 1 ? { ...tables, things: wider } : tables);
/** After the second group the table is copied again, from where the stream is then. */
const againAfter = 2;

async function attempt({ url, mode, epoch }: ApplyErrand): Promise<void> {
  const target = url.startsWith('mysql:')
    ? mysql({ url, maxConnections: 2 }).apply()
    : applyTarget({ settings: { url, maxConnections: 2 }, connector: 'postgres', label: 'test' }, { mode });
  await using sink: ChangeSink = await target.open({ ...testContext(), now: () => new Date('2025-12-31T00:00:00Z') });
  const policy = { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' } as const;
  const state = await sink.begin({ owner: { pipeline: 'p', step: 's' }, pipelineRun: 'r', tables, policy }, { key: 'p/s', epoch });
  if (state.position === null) await sink.follow(streamOf(), positionAt(copiedAt));
  for (const name of ['things', 'others'] as const) {
    if (state.copied[name]) continue;
    await using copy = await sink.copy(name, 'fresh');
    await copy.stage(split(0), batches(tables[name], [row(1, 'one'), row(2, 'two')]));
    await copy.stage(split(1), batches(tables[name], [row(3, 'three')]));
    await copy.finish(positionAt(copiedAt));
  }
  let position: Position = state.position ?? positionAt(copiedAt);
  for (const [at, transactions] of groups.entries()) {
    const group = groupOf(tablesOf(at), transactions);
    if (group.position() > position) position = await sink.apply(group);
    if (at + 1 === againAfter) await copyAgain(sink, state.copied['things'] ?? positionAt(copiedAt), position);
  }
  await sink.flush();
}

async function copyAgain(sink: ChangeSink, copied: Position, position: Position): Promise<void> {
  const snapshot = groupOf(tables, groups[0] ?? []).position();
  if (copied > positionOf(snapshot) || position > positionAt(25)) return;
  await using copy = await sink.copy('things', 'beside', snapshot);
  await copy.stage(split(0), batches(things, [row(1, 'one again'), row(2, 'two'), row(3, 'three'), row(10, 'ten again')]));
  await copy.apply(groupOf(tables, groups[1] ?? []));
  await copy.finish(groupOf(tables, groups[1] ?? []).position());
}

if (process.argv[2]?.startsWith('{')) void attempt(JSON.parse(process.argv[2]) as ApplyErrand);
