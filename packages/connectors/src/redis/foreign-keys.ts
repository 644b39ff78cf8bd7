import { MillraceError } from '@millrace/core/runtime';
import type { Hold } from './hold.ts';
import type { KeptTable } from './kept-table.ts';

/** @throws TARGET_NOT_EMPTY where keys are there that did not come from this stream, ATTEMPT_FENCED */
export async function refuseKeysOfOthers(kept: KeptTable, hold: Hold): Promise<void> {
  const key = (await firstOf(kept.keys())) ?? (await firstOf(kept.sets()));
  if (key === null) return;
  await hold.note([]); // or it is of an attempt that came after this one
  throw new MillraceError('TARGET_NOT_EMPTY', {
    message: `${JSON.stringify(key)} is in Redis at ${hold.client.place} already, and did not come from this pipeline; rows of "${kept.table}" go to such keys.`,
    remedy: 'Delete such keys if nobody needs them, or give the rows of the pipeline other ones.',
    facts: { key },
  });
}

async function firstOf(portions: AsyncIterable<readonly string[]>): Promise<string | null> {
  for await (const [first] of portions) if (first !== undefined) return first;
  return null;
}
