import { type ColumnBatch, rowsOf } from '../batch/index.ts';
import type {
  Checkpoint,
  Fence,
  FilesRef,
  LoadMode,
  LoadSession,
  LoadSpec,
  Receipt,
  Sink,
  StagedPart,
  Target,
} from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import { batchesOf } from '../run/route.ts';
import type { RowSchema } from '../schema/index.ts';

export interface MemoryTargetOptions {
  readonly mode?: LoadMode;
  readonly schema?: RowSchema | null;
  /** What plans show; `memory.table` by default. */
  readonly object?: string;
  readonly takes?: 'rows' | 'files';
  readonly leaves?: 'table' | 'files';
  /** For a target that takes files: the rows of a dataset. */
  readonly filesOf?: (files: FilesRef) => readonly Record<string, unknown>[];
}

/** Rows that have been loaded into memory, with what a real target keeps beside them. */
export interface MemoryTable {
  rows: readonly Record<string, unknown>[];
  readonly applied: Map<string, Receipt>;
  readonly checkpoints: Map<string, Checkpoint>;
  readonly fences: Map<string, number>;
  /** Parts by load and split; they outlive an attempt. */
  readonly staged: Map<string, { readonly part: StagedPart; readonly rows: readonly Record<string, unknown>[] }>;
}

export const memoryTable = (): MemoryTable => ({
  rows: [],
  applied: new Map(),
  checkpoints: new Map(),
  fences: new Map(),
  staged: new Map(),
});

/** A target in memory that keeps every promise of `Sink`: for pipelines' tests, and as the measure of the conformance suite. */
export function memoryTarget(table: MemoryTable, options: MemoryTargetOptions = {}): Target {
  const { mode = 'append', schema = null, object = 'memory.table', takes = 'rows', leaves = 'table' } = options;
  return {
    kind: 'target',
    takes,
    leaves,
    description: { connector: 'memory', object, connection: 'memory', mode, guarantee: 'exactly-once' },
    schema,
    accepts: ['batches'],
    problems: () => [],
    ddl: () => [],
    open: async () => sink(table, { ...options, mode, object, takes, leaves }),
  } as Target;
}

function sink(table: MemoryTable, options: MemoryTargetOptions & { readonly mode: LoadMode; readonly object: string }): Sink {
  return {
    checkpoint: async ({ pipeline, step }) => table.checkpoints.get(`${pipeline}/${step}`) ?? null,
    async begin(load, fence) {
      if ((table.fences.get(fence.key) ?? 0) > fence.epoch) throw fenced(fence);
      table.fences.set(fence.key, fence.epoch);
      return session(table, options, load, fence);
    },
    async [Symbol.asyncDispose]() {},
  };
}

function session(
  table: MemoryTable,
  { mode, object, leaves, filesOf }: MemoryTargetOptions & { readonly mode: LoadMode; readonly object: string },
  load: LoadSpec,
  fence: Fence,
): LoadSession {
  const owner = `${load.owner.pipeline}/${load.owner.step}`;
  const named = (split: string): string => `${load.id} ${split}`;
  return {
    applied: table.applied.get(load.id) ?? null,
    async stage(split, channel) {
      const rows: Record<string, unknown>[] = [];
      for await (const batch of batchesOf(channel)) rows.push(...plainRows(batch));
      const part = { split: split.id, rows: rows.length, bytes: 0, detail: {} };
      table.staged.set(named(split.id), { part, rows });
      return part;
    },
    recover: async (parts) => parts.filter((part) => table.staged.get(named(part.split))?.part.rows === part.rows),
    async commit(parts, checkpoint) {
      if (table.fences.get(fence.key) !== fence.epoch) throw fenced(fence);
      const known = table.checkpoints.get(owner)?.window ?? null;
      if (load.window && !load.fullRefresh && (known?.high ?? null) !== load.window.low) throw moved(load, known?.high ?? null);
      const loaded = [
        ...parts.flatMap(({ split }) => table.staged.get(named(split))?.rows ?? []),
        ...load.files.flatMap((files) => filesOf?.(files) ?? []),
      ];
      table.rows = written(table.rows, loaded, load.fullRefresh && mode === 'append' ? 'replace' : mode, load.schema.key ?? []);
      const files: FilesRef = { location: object, manifest: load.id, format: 'jsonl', rows: loaded.length };
      const receipt: Receipt = { loadId: load.id, rows: loaded.length, bytes: 0, checkpoint, ...(leaves === 'files' && { files }) };
      table.applied.set(load.id, receipt);
      table.checkpoints.set(owner, checkpoint);
      for (const { split } of parts) table.staged.delete(named(split));
      return receipt;
    },
    async abort() {
      for (const name of [...table.staged.keys()]) if (name.startsWith(`${load.id} `)) table.staged.delete(name);
    },
    async [Symbol.asyncDispose]() {},
  };
}

const plainRows = (batch: ColumnBatch): Record<string, unknown>[] => rowsOf(batch);

function written(
  before: readonly Record<string, unknown>[],
  loaded: readonly Record<string, unknown>[],
  mode: LoadMode,
  key: readonly string[],
): readonly Record<string, unknown>[] {
  if (mode === 'replace') return loaded;
  if (mode !== 'merge') return [...before, ...loaded];
  const rows = new Map(before.map((row) => [keyOf(row, key), row]));
  for (const row of loaded) rows.set(keyOf(row, key), row);
  return [...rows.values()];
}

const keyOf = (row: Record<string, unknown>, key: readonly string[]): string => JSON.stringify(key.map((name) => String(row[name])));

const fenced = ({ key, epoch }: Fence): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `Attempt ${epoch} at ${key} came too late.`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { key, epoch },
  });

const moved = (load: LoadSpec, high: string | null): MillraceError =>
  new MillraceError('CHECKPOINT_MOVED', {
    message: `The checkpoint is at ${high ?? 'the beginning'}, and this load begins at ${load.window?.low ?? 'the beginning'}.`,
    remedy: 'Start a new run.',
    facts: { load: load.id },
  });
