import { Choices, seeded } from '@millrace/core/testing';

export type Factors = Readonly<Record<string, readonly unknown[]>>;
export type Combination<Of extends Factors> = { readonly [Name in keyof Of]: Of[Name][number] };

/**
 * Combinations of the factors' values in which every two values that can stand beside each other do. `settle` makes a combination that can be
 * of one that cannot: what has no meaning beside the rest goes back to its first value.
 */
export function pairwise<Of extends Factors>(factors: Of, settle: (one: Combination<Of>) => Combination<Of>): Combination<Of>[] {
  const choices = new Choices(seeded(1));
  const names = Object.keys(factors) as (keyof Of & string)[];
  const candidate = (): Combination<Of> =>
    settle(Object.fromEntries(names.map((name) => [name, choices.one(factors[name] as readonly unknown[])])) as Combination<Of>);
  const pairsOf = (one: Combination<Of>): string[] => {
    const values = names.map((name) => `${name}=${JSON.stringify(one[name])}`);
    return values.flatMap((a, at) => values.slice(at + 1).map((b) => `${a} ${b}`));
  };
  // As many as every pair that can be is certain to be among them.
  const pool = Array.from({ length: 800 }, candidate).map((one) => ({ one, pairs: pairsOf(one) }));
  const left = new Set(pool.flatMap(({ pairs }) => pairs));
  const chosen: Combination<Of>[] = [];
  while (left.size > 0) {
    const counted = pool.map(({ one, pairs }) => ({ one, pairs, news: pairs.filter((pair) => left.has(pair)).length }));
    const best = counted.reduce((most, next) => (next.news > most.news ? next : most));
    for (const pair of best.pairs) left.delete(pair);
    chosen.push(best.one);
  }
  return chosen;
}

/** All that can be, each once; `settle` as above. */
export function everyCombination<Of extends Factors>(factors: Of, settle: (one: Combination<Of>) => Combination<Of>): Combination<Of>[] {
  const all = Object.entries(factors).reduce<Readonly<Record<string, unknown>>[]>(
    (some, [name, values]) => some.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );
  return [...new Map(all.map((one) => settle(one as Combination<Of>)).map((one) => [JSON.stringify(one), one])).values()];
}
