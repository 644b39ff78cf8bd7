import { createHash } from 'node:crypto';
import { type Checkpoint, type Context, type LoadOwner, type LoadSpec, MillraceError, type Receipt } from '@millrace/core/runtime';
import { openStorage } from '../s3/open-storage.ts';
import type { Storage } from '../s3/storage.ts';
import type { FilePlace } from '../s3/target.ts';

/** What a receiver cannot keep: which loads it has had, and up to where. */
export interface Ledger extends AsyncDisposable {
  last(owner: LoadOwner): Promise<Entry | null>;
  /**
   * Before the first request of a load: the receipt of another attempt, where that has sent it meanwhile. Somebody who sends at this very moment is
   * not seen. @throws LOAD_CONFLICT where another load has
   */
  sent(load: LoadSpec, after: Entry | null): Promise<Receipt | null>;
  /** After the last request of a load. The receipt of another attempt, where that was first. @throws LOAD_CONFLICT */
  note(load: LoadSpec, after: Entry | null, receipt: Receipt): Promise<Receipt>;
}

/** One file for each load, numbered; created only where there is none of its number, so that of two attempts one comes first. */
export interface Entry {
  readonly number: number;
  readonly receipt: Receipt;
  readonly checkpoint: Checkpoint;
}

/** Enough for whoever looks at a load that was; older ones go. */
const keptEntries = 20;

/** In the directory `_millrace/sent` of a place for files. `to` is the receiver. */
export async function openLedger(place: FilePlace, to: string, context: Context): Promise<Ledger> {
  const url = typeof place.url === 'string' ? place.url : await context.secret(place.url);
  const storage = await openStorage(url, place.settings, context, '_millrace/sent');
  const folder = ({ pipeline, step }: LoadOwner): string =>
    `${createHash('sha256')
      .update(JSON.stringify([to, pipeline, step]))
      .digest('hex')
      .slice(0, 32)}/`;
  const nameOf = (number: number): string => `${String(number).padStart(10, '0')}.json`;

  const last = async (owner: LoadOwner): Promise<Entry | null> => {
    const key = (await keysIn(storage, folder(owner))).at(-1);
    return key === undefined ? null : await read(storage, key);
  };
  return {
    last,
    async sent(load, after) {
      const now = await last(load.owner);
      if ((now?.number ?? 0) === (after?.number ?? 0)) return null;
      if (now?.receipt.loadId === load.id) return now.receipt;
      throw another(load.owner);
    },
    async note(load, after, receipt) {
      const number = (after?.number ?? 0) + 1;
      const at = folder(load.owner);
      const entry: Entry = { number, receipt, checkpoint: receipt.checkpoint };
      const key = at + nameOf(number);
      const isFirst = await storage.create(key, JSON.stringify(entry));
      // A lost answer may belong to our own file.
      const there = isFirst ? entry : await read(storage, key);
      if (there.receipt.loadId !== load.id) throw another(load.owner);
      if (number > keptEntries) await storage.delete([at + nameOf(number - keptEntries)]);
      return there.receipt;
    },
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  };
}

async function keysIn(storage: Storage, folder: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list(folder)) keys.push(key);
  return keys;
}

async function read(storage: Storage, key: string): Promise<Entry> {
  const body = await storage.read(key);
  if (body !== null) return JSON.parse(body.toString('utf8')) as Entry;
  throw new MillraceError('LOAD_CONFLICT', {
    message: `${storage.url}${key} has gone while it was looked for.`,
    remedy: 'Tried again with backoff.',
  });
}

/** @throws CHECKPOINT_MOVED where the window does not begin where the last load has ended */
export function checkWindow({ window, owner, fullRefresh }: LoadSpec, last: Entry | null): void {
  const high = last?.checkpoint.window?.high;
  if (window === null || fullRefresh || high === undefined || window.low === high) return;
  throw new MillraceError('CHECKPOINT_MOVED', {
    message: `"${owner.step}" has been sent up to ${high}, and this load begins at ${window.low ?? 'the beginning'}.`,
    remedy: 'A later run has sent these rows. Cancel this run; nothing is missing.',
    facts: { high, low: window.low },
  });
}

const another = ({ step }: LoadOwner): MillraceError =>
  new MillraceError('LOAD_CONFLICT', {
    message: `Another load of "${step}" was sent at this moment.`,
    remedy: 'Tried again with backoff.',
    facts: { step },
  });
