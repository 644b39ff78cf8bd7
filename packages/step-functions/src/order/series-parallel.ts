/** Stages that run one after the other, or side by side: all that a state machine can say of an order. */
export type Block =
  | { readonly kind: 'stage'; readonly id: string }
  | { readonly kind: 'series' | 'parallel'; readonly parts: readonly Block[] };

export interface Ordered {
  /** Null where there are no stages. */
  readonly block: Block | null;
  readonly barriers: readonly Barrier[];
}

/** A stage waits for others that it does not need: what an order that is not series-parallel costs. */
export interface Barrier {
  readonly stage: string;
  readonly waitsFor: readonly string[];
}

/**
 * Nests stages so that every need is kept. A graph whose parts stand in series and in parallel keeps all its freedom; a part that is neither
 * (four stages in the shape of an N, say) is cut in two where the fewest pairs of stages come to wait for one another, and the cut is told.
 *
 * By modular decomposition of the order: parts that nothing connects are parallel, parts that everything connects stand in series, and
 * in what is left every maximal module is one point. https://en.wikipedia.org/wiki/Modular_decomposition
 */
export function seriesParallel(stages: readonly { readonly id: string; readonly needs: readonly string[] }[]): Ordered {
  if (stages.length === 0) return { block: null, barriers: [] };
  const before = closure(stages);
  const nested = nest(
    stages.map((_, at) => at),
    before,
  );
  return { block: named(nested, stages), barriers: barriers(nested, before, stages) };
}

/** `before(a, b)`: b needs a, directly or not. */
type Order = (a: number, b: number) => boolean;
type Nested = number | { readonly kind: 'series' | 'parallel'; readonly parts: readonly Nested[] };

/** Stages stand after those they need, so one pass sees all ancestors. */
function closure(stages: readonly { readonly id: string; readonly needs: readonly string[] }[]): Order {
  const index = new Map(stages.map(({ id }, at) => [id, at]));
  const ancestors: Set<number>[] = [];
  for (const { needs } of stages) {
    const found = new Set<number>();
    for (const need of needs) {
      const at = index.get(need) as number;
      found.add(at);
      for (const further of ancestors[at] ?? []) found.add(further);
    }
    ancestors.push(found);
  }
  return (a, b) => ancestors[b]?.has(a) === true;
}

function nest(members: readonly number[], before: Order): Nested {
  const [first] = members;
  if (members.length === 1) return first as number;
  const apart = components(members, (a, b) => before(a, b) || before(b, a));
  if (apart.length > 1) return { kind: 'parallel', parts: apart.map((part) => nest(part, before)) };
  const chained = components(members, (a, b) => !before(a, b) && !before(b, a));
  const sequence = chained.length > 1 ? chained.sort((a, b) => (before(a[0] as number, b[0] as number) ? -1 : 1)) : cut(members, before);
  return { kind: 'series', parts: sequence.flatMap((part) => flat('series', nest(part, before))) };
}

const flat = (kind: 'series' | 'parallel', block: Nested): readonly Nested[] =>
  typeof block === 'object' && block.kind === kind ? block.parts : [block];

function components(members: readonly number[], linked: (a: number, b: number) => boolean): number[][] {
  const left = new Set(members);
  const found: number[][] = [];
  for (const start of members) {
    if (!left.delete(start)) continue;
    const part = [start];
    for (let at = 0; at < part.length; at++) {
      for (const other of left) {
        if (!linked(part[at] as number, other)) continue;
        left.delete(other);
        part.push(other);
      }
    }
    found.push(part.sort((a, b) => a - b));
  }
  return found;
}

/** A beginning and the rest: whichever of the obvious beginnings makes the fewest pairs wait that need not. */
function cut(members: readonly number[], before: Order): number[][] {
  const points = modules(members, before);
  const levels = new Map<number[], number>();
  for (const point of points) {
    const below = points.filter((other) => before(other[0] as number, point[0] as number));
    levels.set(point, Math.max(-1, ...below.map((other) => levels.get(other) as number)) + 1);
  }
  // Of equal ones the first is taken: levels keep both parts about as deep.
  const beginnings = [
    ...points.map((point) => points.filter((other) => (levels.get(other) as number) <= (levels.get(point) as number))),
    ...points.map((point) => points.filter((other) => other === point || before(other[0] as number, point[0] as number))),
    ...points.map((point) => points.filter((other) => other !== point && !before(point[0] as number, other[0] as number))),
  ];
  let best: { readonly cost: number; readonly parts: number[][] } | undefined;
  for (const beginning of beginnings) {
    const rest = points.filter((point) => !beginning.includes(point));
    if (beginning.length === 0 || rest.length === 0) continue;
    const cost = newPairs(beginning, rest, before);
    if (!best || cost < best.cost) best = { cost, parts: [beginning.flat(), rest.flat()].map((part) => part.sort((a, b) => a - b)) };
  }
  return best?.parts ?? [];
}

function newPairs(beginning: readonly number[][], rest: readonly number[][], before: Order): number {
  let pairs = 0;
  for (const a of beginning) for (const b of rest) if (!before(a[0] as number, b[0] as number)) pairs += a.length * b.length;
  return pairs;
}

/** Finding modules takes the fourth power of the stages; beyond so many, a cut may run through one. */
const mostForModules = 100;

/** The largest groups short of everything whose members all others see alike, in the order of the stages. */
function modules(members: readonly number[], before: Order): number[][] {
  if (members.length > mostForModules) return members.map((member) => [member]);
  const found: number[][] = [];
  const placed = new Set<number>();
  for (const member of members) {
    if (placed.has(member)) continue;
    const group = [member];
    for (const other of members) {
      if (other <= member || placed.has(other) || group.includes(other)) continue;
      const smallest = moduleOf(member, other, members, before);
      if (smallest.length < members.length) for (const one of smallest) if (!group.includes(one)) group.push(one);
    }
    for (const one of group) placed.add(one);
    found.push(group.sort((a, b) => a - b));
  }
  return topological(found, before);
}

/** The smallest module that holds both: whoever sees its members differently joins it. */
function moduleOf(a: number, b: number, members: readonly number[], before: Order): readonly number[] {
  const inside = [a];
  const outside = new Set(members);
  outside.delete(a);
  const waiting = [b];
  const seen = (from: number, to: number): number => (before(from, to) ? 1 : before(to, from) ? -1 : 0);
  while (waiting.length > 0) {
    const next = waiting.pop() as number;
    if (!outside.delete(next)) continue;
    inside.push(next);
    for (const other of outside) if (seen(other, next) !== seen(other, a)) waiting.push(other);
  }
  return inside;
}

/** Points after those before them. */
function topological(points: number[][], before: Order): number[][] {
  const above = (point: number[]): number => points.filter((other) => before(other[0] as number, point[0] as number)).length;
  return points
    .map((point) => ({ point, above: above(point) }))
    .sort((a, b) => a.above - b.above)
    .map(({ point }) => point);
}

function named(nested: Nested, stages: readonly { readonly id: string }[]): Block {
  if (typeof nested === 'number') return { kind: 'stage', id: stages[nested]?.id as string };
  return { kind: nested.kind, parts: nested.parts.map((part) => named(part, stages)) };
}

function barriers(nested: Nested, before: Order, stages: readonly { readonly id: string }[]): Barrier[] {
  const waits = new Map<number, Set<number>>(stages.map((_, at) => [at, new Set()]));
  collectWaits(nested, waits);
  return stages.flatMap(({ id }, at) => {
    const all = [...(waits.get(at) as Set<number>)];
    // Who waits for the last of a chain waits for the rest of it anyway.
    const last = all.filter((one) => !all.some((other) => waits.get(other)?.has(one)));
    const added = last.filter((one) => !before(one, at)).sort((a, b) => a - b);
    return added.length === 0 ? [] : [{ stage: id, waitsFor: added.map((one) => stages[one]?.id as string) }];
  });
}

/** Adds what each stage waits for within the block; answers the block's stages. */
function collectWaits(nested: Nested, waits: Map<number, Set<number>>): number[] {
  if (typeof nested === 'number') return [nested];
  const parts = nested.parts.map((part) => collectWaits(part, waits));
  if (nested.kind === 'series') {
    const earlier: number[] = [];
    for (const part of parts) {
      for (const stage of part) for (const one of earlier) waits.get(stage)?.add(one);
      earlier.push(...part);
    }
  }
  return parts.flat();
}
