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

/** Entries of one call, and bytes of all of them together: an entry that is larger alone is left to EventBridge to judge. */
const callLimit = 10;
const callBytes = 256 * 1024;
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
      for (const entries of calls(all)) ids.push(...(await put(events, entries, context)));
      return { link: null, detail: { events: ids } };
    },
  );
}

function calls(all: readonly PutEventsRequestEntry[]): PutEventsRequestEntry[][] {
  const made: PutEventsRequestEntry[][] = [];
  let left = 0;
  for (const entry of all) {
    const bytes = bytesOf(entry);
    const last = made.at(-1);
    if (last && last.length < callLimit && bytes <= left) last.push(entry);
    else {
      made.push([entry]);
      left = callBytes;
    }
    left -= bytes;
  }
  return made;
}

/** As EventBridge counts. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html */
function bytesOf({ Source = '', DetailType = '', Detail = '', Resources = [] }: PutEventsRequestEntry): number {
  return [Source, DetailType, Detail, ...Resources].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

/** One call. EventBridge answers for each entry, by its place: what it has not given an id is sent again, alone. */
async function put(events: EventsService, entries: readonly PutEventsRequestEntry[], context: Context): Promise<string[]> {
  const ids: string[] = [];
  let left = [...entries];
  for (let attempt = 1; ; attempt++) {
    const { Entries: answers = [] } = await events.call('putting events', context, (sdk, client, options) =>
      client.send(new sdk.PutEventsCommand({ Entries: left }), options),
    );
    ids.push(...answers.flatMap(({ EventId }) => (EventId === undefined ? [] : [EventId])));
    left = left.filter((_, at) => answers[at]?.EventId === undefined);
    if (left.length === 0) return ids;
    const failed = answers.filter(({ EventId }) => EventId === undefined);
    const refused = failed.find(({ ErrorCode = '' }) => ErrorCode !== '' && !passing.test(ErrorCode));
    if (refused) throw notTaken(refused, left.length, entries.length, false);
    if (attempt === attempts) throw notTaken(failed[0] ?? {}, left.length, entries.length, true);
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
