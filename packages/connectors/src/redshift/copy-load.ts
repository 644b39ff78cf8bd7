import {
  type Checkpoint,
  type Context,
  type Fence,
  type FilesRef,
  isMillraceError,
  type LoadSession,
  type LoadSpec,
  MillraceError,
  type Receipt,
  type Sink,
} from '@millrace/core/runtime';
import type { Session } from '../postgres/client.ts';
import { listManifests, openDataset, readManifest } from '../s3/dataset.ts';
import { type Manifest, manifestKey } from '../s3/manifest.ts';
import type { Storage } from '../s3/storage.ts';
import { passing } from './failpoints.ts';
import { onPostgres } from './on-postgres.ts';
import { onRedshift } from './on-redshift.ts';
import { type CopySettings, type Landed, openWarehouse, type Warehouse, type WarehouseTable } from './warehouse.ts';
import { writeRows } from './write-rows.ts';

/** As many manifests go into one transaction. More than that are there only when a warehouse joins a dataset late. */
const manifestsAtOnce = 50;

/** What this target keeps beside the checkpoint: a name of a manifest means nothing without the dataset it is from. */
interface FilesCheckpoint extends Checkpoint {
  readonly location: string;
  /** The load that the manifest stands for: under a prefix that somebody has cleared, numbers begin anew. */
  readonly manifestLoad?: string;
}

/**
 * Loads files into a table: every manifest of the dataset that came after the last one applied, in order. They land in temporary tables of
 * the session first; one short transaction then checks the fence, writes rows and moves the checkpoint.
 */
export async function openCopySink(settings: CopySettings, context: Context): Promise<Sink> {
  const reading = await openWarehouse(settings, context, 'checkpoint');
  const { ledger } = reading.redshift ? onRedshift : onPostgres;
  return {
    async checkpoint(owner) {
      if (!(await ledger.exists(reading.session))) return null;
      return (await ledger.checkpoint(reading.session, owner))?.checkpoint ?? null;
    },

    async begin(load, fence): Promise<LoadSession> {
      const files = load.files.at(-1);
      if (!files) throw new MillraceError('INTERNAL', { message: 'A copy was begun without files.', remedy: 'Please report it.' });
      const { session, redshift } = await openWarehouse(settings, context, fence);
      const warehouse = redshift ? onRedshift : onPostgres;
      try {
        await warehouse.ledger.open(session);
        await warehouse.ledger.take(session, fence);
        const applied = await warehouse.ledger.applied(session, load.id);
        const work: CopyWork = { settings, context, load, fence, warehouse, session, files };
        return {
          applied,
          stage: async () => {
            throw new MillraceError('UNSUPPORTED', {
              message: 'This target takes files, not rows.',
              remedy: 'Load the rows into files first.',
            });
          },
          commit: () => (applied ? Promise.resolve(applied) : applyManifests(work)),
          abort: async () => {
            await session.execute('ROLLBACK').catch(() => {});
          },
          [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
        };
      } catch (error) {
        await session[Symbol.asyncDispose]();
        throw error;
      }
    },

    [Symbol.asyncDispose]: () => reading.session[Symbol.asyncDispose](),
  };
}

export interface CopyWork {
  readonly settings: CopySettings;
  readonly context: Context;
  readonly load: LoadSpec;
  readonly fence: Fence;
  readonly warehouse: Warehouse;
  readonly session: Session;
  readonly files: FilesRef;
}

async function applyManifests(work: CopyWork): Promise<Receipt> {
  const { settings, context, load, warehouse, session, files } = work;
  const table = await warehouse.prepare(session, settings);
  passing('redshift.copy.begun');
  await using storage = await openDataset(files.location, settings.store, context);
  const stored = await warehouse.ledger.checkpoint(session, load.owner);
  let last = lastApplied(stored, storage.url);
  // A replace is the whole dataset, and so is what --full-refresh has loaded.
  const whole = settings.mode === 'replace' || load.fullRefresh === true;
  if (last !== null && !whole) await sameDataset(storage, last, stored?.checkpoint as FilesCheckpoint, files);
  const manifests = await listManifests(storage, whole ? undefined : (last ?? undefined));
  const newestKnown = manifests.at(-1) ? manifestKey((manifests.at(-1) as Manifest).sequence) : last;
  if (newestKnown === null || newestKnown < files.manifest) throw manifestGone(files);
  const replace = settings.mode === 'replace' || (settings.mode === 'append' && (load.fullRefresh === true || startsOver(manifests, last)));
  const groups = replace || manifests.length === 0 ? [manifests] : chunks(manifests, manifestsAtOnce);
  let total: Receipt | null = null;
  for (const [at, group] of groups.entries()) {
    const landed: Landed[] = [];
    for (const manifest of group) {
      context.signal.throwIfAborted();
      const name = `__millrace_landing_${manifest.sequence}`;
      const one = await warehouse.land({ session, context, settings, table, manifest, storage, name, schema: load.schema });
      if (warehouse.kind === 'redshift') context.progress({ rows: one.rows, bytes: manifest.bytes });
      landed.push(one);
      passing('redshift.copy.landed');
    }
    const newest = group.at(-1);
    const group_: Group = {
      manifests: group,
      landed,
      replace,
      expected: last,
      next: newest ? manifestKey(newest.sequence) : last,
      nextLoad: newest?.loadId ?? (stored?.checkpoint as FilesCheckpoint | undefined)?.manifestLoad ?? null,
      finished: at === groups.length - 1,
    };
    const receipt = await commitGroup(work, table, storage.url, group_, total);
    total = receipt;
    last = group_.next;
    for (const { table: staging } of landed) await session.execute(`DROP TABLE ${staging}`);
  }
  return total as Receipt;
}

/** @throws MANIFEST_MISMATCH where the manifest that was applied last is not the one that has its number now */
async function sameDataset(storage: Storage, last: string, stored: FilesCheckpoint, files: FilesRef): Promise<void> {
  const manifest = await readManifest(storage, last).catch((error: unknown) => {
    if (isMillraceError(error) && error.code === 'MANIFEST_MISMATCH') return null;
    throw error;
  });
  if (manifest && (stored.manifestLoad === undefined || manifest.loadId === stored.manifestLoad)) return;
  throw new MillraceError('MANIFEST_MISMATCH', {
    message: `${files.location} is not the dataset any more that was loaded from up to ${last}: somebody has cleared the prefix, or moved another one there.`,
    remedy: 'Bring the prefix back as it was, or load everything again with --full-refresh.',
    facts: { location: files.location, manifest: last },
  });
}

/** An empty prefix is no empty load: somebody has moved or removed what the load before this one committed. */
function manifestGone({ location, manifest, rows }: FilesRef): MillraceError {
  return new MillraceError('MANIFEST_MISMATCH', {
    message: `The manifest ${manifest} that was committed to ${location} with ${rows} rows is not there any more.`,
    remedy: 'Bring the prefix back as it was, or load the files again: --full-refresh --from the step that writes them.',
    facts: { location, manifest, rows },
  });
}

/** The manifest that the checkpoint names, where it is one of this dataset. */
function lastApplied(stored: { readonly checkpoint: Checkpoint } | null, location: string): string | null {
  const checkpoint = stored?.checkpoint as Partial<FilesCheckpoint> | undefined;
  return checkpoint?.location === location ? (checkpoint.manifest ?? null) : null;
}

/** A dataset that is appended to was loaded anew by a run whose copy never came: what the table holds is no part of it any more. */
function startsOver(manifests: readonly Manifest[], last: string | null): boolean {
  return last !== null && manifests[0]?.mode === 'replace' && manifests.slice(1).some(({ mode }) => mode === 'append');
}

interface Group {
  readonly manifests: readonly Manifest[];
  readonly landed: readonly Landed[];
  readonly replace: boolean;
  /** Where the checkpoint must be, and where it goes. */
  readonly expected: string | null;
  readonly next: string | null;
  readonly nextLoad: string | null;
  readonly finished: boolean;
}

async function commitGroup(
  work: CopyWork,
  table: WarehouseTable,
  location: string,
  group: Group,
  before: Receipt | null,
): Promise<Receipt> {
  const { load, fence, warehouse, session } = work;
  const { ledger } = warehouse;
  await session.execute('BEGIN');
  try {
    await ledger.hold(session, load.owner, fence);
    const earlier = await ledger.applied(session, load.id);
    if (earlier) {
      await session.execute('ROLLBACK');
      return earlier;
    }
    if (lastApplied(await ledger.checkpoint(session, load.owner), location) !== group.expected) {
      throw new MillraceError('LOAD_CONFLICT', {
        message: `Another run has applied files of ${location} meanwhile.`,
        remedy: 'Nothing to do: the load is tried again with what is left.',
      });
    }
    passing('redshift.copy.fenced');
    const changed = await writeRows(work, table, group.manifests, group.landed, group.replace);
    passing('redshift.copy.written');
    const checkpoint: FilesCheckpoint = {
      window: null,
      loadId: load.id,
      location,
      ...(group.next !== null && { manifest: group.next }),
      ...(group.nextLoad !== null && { manifestLoad: group.nextLoad }),
    };
    const receipt: Receipt = {
      loadId: load.id,
      rows: (before?.rows ?? 0) + group.landed.reduce((sum, { rows }) => sum + rows, 0),
      bytes: (before?.bytes ?? 0) + group.manifests.reduce((sum, { bytes }) => sum + bytes, 0),
      changed: added(before?.changed ?? {}, changed),
      checkpoint,
    };
    await ledger.record(session, load, receipt, group.finished);
    passing('redshift.copy.recorded');
    await commit(work, group, location);
    passing('redshift.copy.committed');
    return receipt;
  } catch (error) {
    await session.execute('ROLLBACK').catch(() => {});
    throw error;
  }
}

/** Where the answer is lost, the checkpoint tells, once the transaction has let go of the fence. */
async function commit(work: CopyWork, group: Group, location: string): Promise<void> {
  try {
    const { command } = await work.session.execute('COMMIT');
    if (command === 'ROLLBACK')
      throw new MillraceError('LOAD_CONFLICT', {
        message: 'The warehouse rolled the load back where it was told to commit.',
        remedy: 'Nothing to do: it is tried again.',
      });
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'CONNECTION_FAILED') throw error;
    if (!(await isCommitted(work, group, location).catch(() => false))) throw error;
  }
}

async function isCommitted({ settings, context, fence, warehouse, load }: CopyWork, group: Group, location: string): Promise<boolean> {
  const { session } = await openWarehouse(settings, context, fence);
  await using _session = session;
  await session.execute('BEGIN');
  await warehouse.ledger.hold(session, load.owner, fence);
  const stored = await warehouse.ledger.checkpoint(session, load.owner);
  const applied = await warehouse.ledger.applied(session, load.id);
  await session.execute('COMMIT');
  return group.finished ? applied !== null : lastApplied(stored, location) === group.next;
}

function added(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries([...names].map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]));
}

function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}
