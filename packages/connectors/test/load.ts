import { setMaxListeners } from 'node:events';
import {
  batchOfRows,
  type Channel,
  type Checkpoint,
  type Context,
  type Fence,
  type LoadSpec,
  MillraceError,
  type Receipt,
  type RejectedRow,
  type RowSchema,
  type Sink,
  type Split,
  type Target,
  type Window,
} from '@millrace/core/runtime';

export type Row = Readonly<Record<string, unknown>>;

/** A context for loads in tests. */
export function testContext(logicalTime = '2026-03-29T02:00:00.000Z', more: Partial<Context> = {}): Context & { readonly lines: string[] } {
  const lines: string[] = [];
  const { signal } = new AbortController();
  setMaxListeners(0, signal); // as the engine's
  return {
    run: { id: 'run-1', pipeline: 'nightly', logicalTime, date: logicalTime.slice(0, 10), window: null, params: {} },
    signal,
    secret: async ({ name }) => {
      throw new MillraceError('SECRET_MISSING', { message: name, remedy: '' });
    },
    now: () => new Date(),
    log: { info: (message) => void lines.push(message), warn: (message) => void lines.push(message) },
    spool: '/tmp',
    progress: () => {},
    memoryBudget: 64 * 1024 * 1024,
    lines,
    ...more,
  };
}

/** As a reader has it that does not know of columns whether they may be NULL. */
export const loosened = ({ columns }: RowSchema): RowSchema => ({ columns: columns.map((column) => ({ ...column, nullable: true })) });

export function batches(schema: RowSchema, rows: readonly Row[], each = 1_000): Channel {
  return {
    format: 'batches',
    schema,
    batches: (async function* () {
      for (let at = 0; at < rows.length; at += each) yield batchOfRows(schema, rows.slice(at, at + each));
    })(),
  };
}

export interface TestLoad {
  readonly id?: string;
  readonly epoch?: number;
  readonly key?: string;
  readonly window?: Window | null;
  readonly runAt?: string;
  readonly parallel?: boolean;
  readonly fullRefresh?: boolean;
  /** A list is staged as one split; lists of lists as a split each. */
  readonly splits: readonly (readonly Row[])[];
  readonly context?: Context;
  readonly reject?: (row: RejectedRow) => void;
  readonly schema?: RowSchema;
  readonly channel?: (schema: RowSchema, rows: readonly Row[]) => Channel;
  readonly step?: string;
  /** Rows in a batch. */
  readonly each?: number;
}

export const split = (at: number): Split => ({ id: `s${at}`, estimate: { rows: null, bytes: null }, where: {} });

export function specOf(target: Target<never>, load: TestLoad): { spec: LoadSpec; fence: Fence; checkpoint: Checkpoint } {
  const id = load.id ?? 'load-1';
  const window = load.window ?? null;
  return {
    spec: {
      id,
      owner: { pipeline: 'nightly', step: load.step ?? 'facts' },
      run: 'run-1',
      runAt: load.runAt ?? '2026-03-29T02:00:00.000Z',
      schema: load.schema ?? (target.schema as RowSchema),
      window,
      files: [],
      plan: null,
      parallel: load.parallel ?? false,
      ...(load.fullRefresh && { fullRefresh: true }),
      ...(load.reject && { reject: load.reject }),
    },
    fence: { key: load.key ?? 'run-1/load', epoch: load.epoch ?? 1 },
    checkpoint: { window, loadId: id },
  };
}

/** The whole road of a load, as the runner takes it. */
export async function loadRows(target: Target<never>, load: TestLoad): Promise<Receipt> {
  await using sink: Sink = await target.open(load.context ?? testContext());
  const { spec, fence, checkpoint } = specOf(target, load);
  await using session = await sink.begin(spec, fence);
  if (session.applied) return session.applied;
  try {
    const stage = (rows: readonly Row[], at: number) =>
      session.stage(split(at), load.channel ? load.channel(spec.schema, rows) : batches(spec.schema, rows, load.each));
    const parts = [];
    if (spec.parallel) parts.push(...(await Promise.all(load.splits.map(stage))));
    else for (const [at, rows] of load.splits.entries()) parts.push(await stage(rows, at));
    return await session.commit(parts, checkpoint);
  } catch (error) {
    await session.abort(error as Error).catch(() => {});
    throw error;
  }
}
