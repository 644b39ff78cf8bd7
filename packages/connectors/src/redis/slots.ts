/** How many slots the keys of a cluster are spread over. */
export const slotCount = 16_384;

/** The slot of a hash tag: CRC16 (XMODEM) of its bytes, as the specification of Redis Cluster has it. */
export function slotOf(tag: string): number {
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc % slotCount;
}

let tags: readonly string[] | undefined;

/** A short hash tag for each slot: what belongs to a slot and to no key in particular is kept under it. */
export function slotTags(): readonly string[] {
  if (tags) return tags;
  const found: string[] = new Array(slotCount);
  let missing = slotCount;
  for (let number = 0; missing > 0; number++) {
    const tag = number.toString(36);
    const slot = slotOf(tag);
    if (found[slot] !== undefined) continue;
    found[slot] = tag;
    missing--;
  }
  tags = found;
  return tags;
}
