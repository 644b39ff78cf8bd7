import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, type Json, MillraceError } from '@millrace/core/runtime';
import type { LambdaService } from './client.ts';
import { type Invocation, invoke } from './invoke.ts';

export interface Batching {
  /** Items of one call. */
  readonly size: number;
  /** Calls at the same time. */
  readonly concurrency: number;
  /** How often an item is sent in all. */
  readonly attempts: number;
  /** Before what failed is sent again; doubled each time. */
  readonly pauseMs: number;
}

/**
 * Hands items to a function, some at a time, in the form in which SQS does: `Records` with a `messageId`, the item's place, and a `body`, its
 * JSON. What the function names in `batchItemFailures` is sent again, alone; a function that answers without them has done all of them.
 *
 * @throws REMOTE_FAILED with the items that failed every time
 */
export async function invokeBatches(
  lambda: LambdaService,
  call: Omit<Invocation, 'Payload'>,
  items: readonly Json[],
  { size, concurrency, attempts, pauseMs }: Batching,
  id: string,
  context: Context,
): Promise<{ readonly items: number; readonly calls: number; readonly sentAgain: number }> {
  let left = items.map((_, place) => place);
  let calls = 0;
  let sentAgain = 0;
  for (let attempt = 1; ; attempt++) {
    const batches = Array.from({ length: Math.ceil(left.length / size) }, (_, at) => left.slice(at * size, (at + 1) * size));
    calls += batches.length;
    left = (await inTurn(batches, concurrency, (batch) => send(batch))).flat().sort((a, b) => a - b);
    if (left.length === 0) return { items: items.length, calls, sentAgain };
    if (attempt === attempts) throw itemsFailed(call.FunctionName, left, items.length, attempts);
    sentAgain += left.length;
    await sleep(pauseMs * 2 ** (attempt - 1), undefined, { signal: context.signal });
  }

  /** The places of items that failed. */
  async function send(batch: readonly number[]): Promise<number[]> {
    const Records = batch.map((place) => ({
      messageId: String(place),
      receiptHandle: `${id}-${place}`,
      body: JSON.stringify(items[place]),
      attributes: {},
      messageAttributes: {},
      eventSource: 'aws:sqs',
    }));
    return failuresIn(await invoke(lambda, { ...call, Payload: { Records } }, id, context), batch);
  }
}

/** As SQS reads it: null and nothing are no failures; a name that was not sent means that all have failed. */
function failuresIn(answer: Json, batch: readonly number[]): number[] {
  const named = (answer as { readonly batchItemFailures?: readonly { readonly itemIdentifier?: string }[] } | null)?.batchItemFailures;
  if (!Array.isArray(named)) return [];
  const places = named.map(({ itemIdentifier }) => batch.find((place) => String(place) === itemIdentifier));
  return places.includes(undefined) ? [...batch] : (places as number[]);
}

/** Each of them, so many at a time; the first error ends it when those under way have ended. */
async function inTurn<In, Out>(all: readonly In[], concurrency: number, work: (one: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  const errors: unknown[] = [];
  let next = 0;
  const take = async () => {
    while (next < all.length && errors.length === 0) {
      const at = next++;
      try {
        results[at] = await work(all[at]!);
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, all.length) }, take));
  if (errors.length > 0) throw errors[0];
  return results;
}

function itemsFailed(name: string, left: readonly number[], all: number, attempts: number): MillraceError {
  const some = left.slice(0, 20).join(', ');
  return new MillraceError('REMOTE_FAILED', {
    message: `Lambda function ${name} failed ${left.length} of ${all} items each of ${attempts} times: ${some}${left.length > 20 ? ', …' : ''}.`,
    remedy: `Look at its log group, /aws/lambda/${name.split(':').at(-1)}. The other items are done.`,
    facts: { function: name, items: left.slice(0, 1_000) },
  });
}
