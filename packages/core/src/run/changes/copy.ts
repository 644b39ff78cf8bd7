import type {
  ChangeSink,
  Channel,
  Context,
  Position,
  ReadPlan,
  RowSource,
  Split,
  TableCopy,
  TableSnapshot,
  WireFormat,
} from '../../connector/index.ts';
import { MillraceError } from '../../error/index.ts';
import { passing } from '../failpoints.ts';
import { Held } from '../held.ts';
import { letGo } from '../let-go.ts';
import { RejectSpool } from '../reject-spool.ts';
import { batchesOf, channelOf } from '../route.ts';
import { sideBySide, sideBySideWidth } from '../splits.ts';
import { startTransforms } from '../transforms.ts';
import type { Branch } from './branches.ts';
import type { StreamMeter } from './progress.ts';

/** Smaller than those of a load: a split is one transaction at the target, and the unit in which progress shows. */
const copySplitBytes = 128 * 1024 * 1024;

export interface CopyWork {
  readonly branch: Branch;
  readonly sink: ChangeSink;
  readonly tables: readonly string[];
  readonly how: 'fresh' | 'beside';
}

export interface CopySetting {
  readonly context: Context;
  readonly pipeline: string;
  readonly concurrency: number;
  readonly memoryBudget: number;
  readonly meter: StreamMeter;
}

/** A table whose splits are all at its sink. */
export interface StagedCopy {
  readonly copy: TableCopy;
  readonly table: string;
  readonly work: CopyWork;
}

/**
 * Copies tables as they are in the snapshot, splits side by side, the largest tables first. `staged` is called when the last split of a
 * table is at its sink; the copies live as long as `held`.
 */
export async function copyTables(
  snapshot: TableSnapshot,
  works: readonly CopyWork[],
  setting: CopySetting,
  held: Held,
  staged: (copy: StagedCopy) => Promise<void>,
): Promise<void> {
  const { context, meter } = setting;
  await using sources = new Held();
  const jobs: Job[] = [];
  for (const work of works) {
    for (const table of work.tables) {
      const source = sources.hold(await snapshot.table(table));
      const plan = await source.plan({ absorbed: [], since: null, splitBytes: copySplitBytes, earlier: null });
      jobs.push({ work, table, source, plan, left: plan.splits.length, copy: undefined });
    }
  }
  const size = ({ plan }: Job): number => plan.estimate.bytes ?? 0;
  jobs.sort((a, b) => size(b) - size(a));
  const total = new Map<string, { done: number; total: number }>();
  for (const { table, plan } of jobs) {
    const splits = total.get(table) ?? { done: 0, total: 0 };
    total.set(table, { ...splits, total: splits.total + Math.max(1, plan.splits.length) });
  }
  const queue = jobs.flatMap((job): QueuedSplit[] =>
    job.plan.splits.length > 0 ? job.plan.splits.map((split) => ({ job, split })) : [{ job, split: null }],
  );
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  await sideBySide(
    queue,
    sideBySideWidth(queue.length, setting.concurrency, setting.memoryBudget),
    async ({ job, split }) => {
      signal.throwIfAborted();
      job.copy ??= openCopy(job, snapshot.position, held, context);
      const copy = await job.copy;
      if (split) {
        await copy.stage(split, await channelFor(job, split, setting));
        passing('engine.stream.split-copied');
        job.left--;
      }
      const splits = total.get(job.table)!;
      splits.done++;
      meter.table(job.table, { at: 'copying', splits: { ...splits } });
      if (job.left > 0) return;
      await staged({ copy, table: job.table, work: job.work });
      if (splits.done === splits.total) meter.table(job.table, { at: 'catching-up' });
    },
    (error) => stop.abort(error),
  );
}

/** `split` is null for a table that has none: an empty one. */
interface QueuedSplit {
  readonly job: Job;
  readonly split: Split | null;
}

interface Job {
  readonly work: CopyWork;
  readonly table: string;
  readonly source: RowSource;
  readonly plan: ReadPlan;
  left: number;
  copy: Promise<TableCopy> | undefined;
}

async function openCopy({ work, table }: Job, at: Position, held: Held, context: Context): Promise<TableCopy> {
  const copy = await work.sink.copy(table, work.how, at);
  held.hold(letGo(copy, `the copy of ${table}`, context.log));
  return copy;
}

async function channelFor({ work, table, source, plan }: Job, split: Split, { context, pipeline }: CopySetting): Promise<Channel> {
  const { branch } = work;
  const left = branch.transforms.flatMap(({ name, byTable }) => {
    const transform = Object.hasOwn(byTable, table) ? byTable[table] : undefined;
    return transform ? [{ name, transform, onBadRow: 'fail' as const }] : [];
  });
  const offers = source.offers(plan);
  const format = left.length > 0 ? undefined : byCost.find((one) => offers.includes(one) && branch.target.accepts.includes(one));
  if (format && format !== 'batches') return source.open(split, format);
  const read = offers.includes('batches') ? 'batches' : offers[0];
  if (read === undefined)
    throw new MillraceError('UNSUPPORTED', { message: `The table "${table}" cannot be read.`, remedy: 'Leave it out of the capture.' });
  const channel = await source.open(split, read);
  const spools = new Map(
    left.map(({ name }) => [name, new RejectSpool({ step: name, rule: 'fail', pipeline, directory: context.spool, now: context.now })]),
  );
  const transforms = await startTransforms(left, plan.schema, context, spools);
  return channelOf(transforms.through(`${table}/${split.id}`, batchesOf(channel)), 'batches');
}

const byCost: readonly WireFormat[] = ['pgcopy-binary', 'csv', 'batches'];
