import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { MillraceError } from '@millrace/core/runtime';
import type { Item } from './put-items.ts';

const mostBytes = 400 * 1024;
/** Of the partition key, and of the sort key. */
const mostKeyBytes = [2_048, 1_024] as const;

/**
 * Refuses what DynamoDB would, with the column that is to blame. About a number's bytes DynamoDB says "approximately".
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
 *
 * @throws VALUE_UNREPRESENTABLE
 */
export function assertFits(item: Item, key: readonly string[]): void {
  for (const [place, name] of key.entries()) {
    const { S, B } = item[name] ?? {};
    const bytes = S === undefined ? B?.length : Buffer.byteLength(S);
    if (bytes === 0) throw refused(name, 'is empty, which no key is');
    // Which of the two is the partition key the table knows, and not its declaration.
    if (bytes !== undefined && bytes > mostKeyBytes[key.length === 1 || place === 0 ? 0 : 1])
      throw refused(name, `has ${bytes} bytes, more than a key may have`);
  }
  let [total, largest, most] = [0, '', 0];
  for (const [name, value] of Object.entries(item)) {
    const bytes = Buffer.byteLength(name) + sizeOf(value);
    total += bytes;
    if (bytes > most) [largest, most] = [name, bytes];
  }
  if (total > mostBytes) throw refused(largest, `has ${most} of the ${total} bytes of an item, and no item has more than 400 KB`);
}

function sizeOf({ S, N, B, L, M, SS, NS, BS }: AttributeValue): number {
  if (S !== undefined) return Buffer.byteLength(S);
  if (N !== undefined) return Math.ceil(N.replace(/^-?0*|[.]|0*$/g, '').length / 2) + 1;
  if (B !== undefined) return B.length;
  if (L) return L.reduce((sum, one) => sum + 1 + sizeOf(one), 3);
  if (M) return Object.entries(M).reduce((sum, [name, one]) => sum + 1 + Buffer.byteLength(name) + sizeOf(one), 3);
  const set: AttributeValue[] | undefined = SS?.map((S) => ({ S })) ?? NS?.map((N) => ({ N })) ?? BS?.map((B) => ({ B }));
  return set ? set.reduce((sum, one) => sum + sizeOf(one), 0) : 1;
}

const refused = (name: string, what: string): MillraceError =>
  new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `Column "${name}": it ${what}.`,
    remedy: 'Filter such rows out, or keep what is large elsewhere.',
    facts: { column: name },
  });
