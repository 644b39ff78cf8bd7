import { setTimeout as sleep } from 'node:timers/promises';
import type { PutEventsRequestEntry, PutEventsResultEntry } from '@aws-sdk/client-eventbridge';
import { type Context, type Json, MillraceError, type RemoteTask } from '@millrace/core/runtime';
import { doneAtOnce } from '../aws/done.ts';
import type { EventsFacts } from '../aws/facts.ts';
import type { EventsService } from './client.ts';

/** As a plan and a state machine have it: `Detail` is JSON. */
export interface Entry {
  readonly Source: string;
  readonly DetailType: string;
  readonly Detail: Json;
  readonly EventBusName?: string;
  readonly Resources?: readonly string[];
}

/** Entries of one call. */
export const callLimit = 10;
/** How often an entry is sent in all that EventBridge could not take for now, and the first pause, which is doubled. */
const attempts = 4;
const pauseMs = 200;

/** Events onto buses. EventBridge has no tokens: after a lost answer they are there twice. */
export function putEvents(events: EventsService, entries: number): RemoteTask {
  const facts: EventsFacts = { native: entries <= callLimit, entries };
  return doneAtOnce(
    {
      service: 'events',
      action: 'PutEvents',
      label: entries === 1 ? 'event' : `${entries} events`,
      region: events.region,
      starts: 'at-least-once',
      watched: false,
      pollMs: 1_000,
      facts: { ...facts },
    },
    async ({ parameters }, context) => {
      const all = (parameters['Entries'] as unknown as readonly Entry[]).map(written);
      const ids: string[] = [];
      for (let from = 0; from < all.length; from += callLimit) ids.push(...(await put(events, all.slice(from, from + callLimit), context)));
      return { link: null, detail: { events: ids } };
    },
  );
}

/** Ten entries at most. EventBridge answers for each of them: what it could not take for now is sent again, alone. */
async function put(events: EventsService, entries: readonly PutEventsRequestEntry[], context: Context): Promise<string[]> {
  const ids: string[] = [];
  let left = [...entries];
  for (let attempt = 1; ; attempt++) {
    const { Entries: answers = [], FailedEntryCount = 0 } = await events.call('putting events', context, (sdk, client, options) =>
      client.send(new sdk.PutEventsCommand({ Entries: left }), options),
    );
    ids.push(...answers.flatMap(({ EventId }) => (EventId === undefined ? [] : [EventId])));
    if (FailedEntryCount === 0) return ids;
    const failed = answers.filter(({ ErrorCode }) => ErrorCode !== undefined);
    const refused = failed.find(({ ErrorCode = '' }) => !passing.test(ErrorCode));
    if (refused) throw notTaken(refused, failed.length, entries.length, false);
    if (attempt === attempts) throw notTaken(failed[0] ?? {}, FailedEntryCount, entries.length, true);
    left = left.filter((_, at) => answers[at]?.ErrorCode !== undefined);
    await sleep(pauseMs * 2 ** (attempt - 1), undefined, { signal: context.signal });
  }
}

const passing = /throttl|internal|unavailable|limit/i;

function notTaken(
  { ErrorCode = 'Error', ErrorMessage = '' }: PutEventsResultEntry,
  failed: number,
  all: number,
  later: boolean,
): MillraceError {
  return new MillraceError(later ? 'REMOTE_THROTTLED' : 'REMOTE_REFUSED', {
    message: `EventBridge took ${all - failed} of ${all} events: ${ErrorCode}. ${ErrorMessage.slice(0, 400)}`,
    remedy: later
      ? 'Tried again with backoff; those that were taken are sent again then.'
      : 'Correct what it names, and run the step again.',
    facts: { code: ErrorCode, failed },
  });
}

const written = ({ Detail, Resources, ...rest }: Entry): PutEventsRequestEntry => ({
  ...rest,
  Detail: JSON.stringify(Detail),
  ...(Resources && { Resources: [...Resources] }),
});
