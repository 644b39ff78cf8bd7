import { createHash } from 'node:crypto';

const longest = 63;

/** `events` and `d20260329` as one name. A table's name that would be cut keeps a hash of the whole, so that two such tables do not share one. */
export function partitionName(table: string, suffix: string): string {
  const whole = `${table}_${suffix}`;
  if (Buffer.byteLength(whole) <= longest) return whole;
  const hash = createHash('sha256').update(table).digest('hex').slice(0, 8);
  const room = longest - Buffer.byteLength(`_${hash}_${suffix}`);
  let cut = '';
  for (const character of table) {
    if (Buffer.byteLength(cut + character) > room) break;
    cut += character;
  }
  return `${cut}_${hash}_${suffix}`;
}
