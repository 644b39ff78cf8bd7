import type { Block } from '../order/series-parallel.ts';
import type { Weight } from './weight.ts';
import type { Laid } from './write.ts';

/** What a state that starts another machine weighs itself. */
const startWeight: Weight = { events: 6, bytes: 1_200 };

/**
 * Moves parts of a block to machines of their own, as few as may be, until neither the block nor any part is heavier than `most`. A single stage
 * that is too heavy stays where it is. Each part has a number, from 1 on.
 */
export function fit(block: Block, weigh: (block: Block) => Weight, most: Weight): { readonly laid: Laid; readonly parts: readonly Laid[] } {
  const parts: Laid[] = [];
  const apart = (of: Laid): Laid => {
    parts.push(of);
    return { kind: 'machine', part: parts.length, of };
  };
  const { laid } = shrink(block, weigh, most, apart);
  return { laid, parts };
}

interface Shrunk {
  readonly laid: Laid;
  readonly weight: Weight;
}

function shrink(block: Block, weigh: (block: Block) => Weight, most: Weight, apart: (of: Laid) => Laid): Shrunk {
  const weight = weigh(block);
  if (light(weight, most) || block.kind === 'stage') return { laid: block, weight };
  const { kind } = block;
  let parts = block.parts.map((part) => shrink(part, weigh, most, apart));
  while (parts.length > 1 && !light(sum(parts), most)) {
    const groups = grouped(parts, most);
    // Groups of one are no lighter than what is in them.
    if (groups.every((group) => group.length === 1 && group[0]?.laid.kind === 'machine')) break;
    parts = groups.map((group) => {
      const [first] = group as [Shrunk];
      const of: Laid = group.length === 1 ? first.laid : { kind, parts: group.map(({ laid }) => laid) };
      return of.kind === 'machine' ? first : { laid: apart(of), weight: startWeight };
    });
  }
  return { laid: parts.length === 1 ? (parts[0] as Shrunk).laid : { kind, parts: parts.map(({ laid }) => laid) }, weight: sum(parts) };
}

/** Neighbours together, as many as fit. */
function grouped(parts: readonly Shrunk[], most: Weight): Shrunk[][] {
  const groups: Shrunk[][] = [];
  for (const part of parts) {
    const last = groups.at(-1);
    if (last && light(sum([...last, part]), most)) last.push(part);
    else groups.push([part]);
  }
  return groups;
}

const light = (weight: Weight, most: Weight): boolean => weight.events <= most.events && weight.bytes <= most.bytes;

const sum = (parts: readonly Shrunk[]): Weight => ({
  events: parts.reduce((events, { weight }) => events + weight.events, 8),
  bytes: parts.reduce((bytes, { weight }) => bytes + weight.bytes, 400),
});
