import { MillraceError, type ScheduleStore, type StoredBackfill } from '@millrace/core/runtime';

/** The backfill that was named, whole or by an unmistakable beginning or end; the newest one where none was. @throws RUN_NOT_FOUND */
export async function chosenBackfill(store: ScheduleStore, wanted: string | undefined): Promise<StoredBackfill> {
  const exact = wanted === undefined ? null : await store.backfill(wanted);
  if (exact) return exact;
  const recent = await store.backfills({ limit: wanted === undefined ? 1 : 1000 });
  const matching = recent.filter(({ id }) => wanted === undefined || id.startsWith(wanted) || id.endsWith(wanted));
  if (matching.length === 1) return matching[0] as StoredBackfill;
  throw new MillraceError('RUN_NOT_FOUND', {
    message:
      wanted === undefined
        ? 'No backfill is stored yet.'
        : matching.length === 0
          ? `There is no backfill "${wanted}".`
          : `"${wanted}" could be ${matching.length} backfills.`,
    remedy: 'Look for it with "millrace backfill list".',
  });
}
