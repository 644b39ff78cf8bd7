import type { Plan } from '@millrace/core/runtime';
import { canonicalJson } from './canonical.ts';

/** One step or stage that differs between two plans. */
export interface PlanChange {
  readonly sign: '+' | '-' | '~';
  readonly what: string;
  /** `lane: bytes → rows` */
  readonly details: readonly string[];
}

/** What a new plan changes, in its order, then what it no longer has. No change where the fingerprints are equal. */
export function planDiff(before: Plan | null, after: Plan): PlanChange[] {
  if (before?.fingerprint === after.fingerprint) return [];
  const whole = fieldChanges({ schedule: before?.schedule, params: before?.params }, { schedule: after.schedule, params: after.params });
  return [
    ...(before && whole.length > 0 ? [{ sign: '~' as const, what: 'pipeline', details: whole }] : []),
    ...itemChanges(
      'step',
      before?.steps ?? [],
      after.steps,
      ({ name }) => name,
      ({ does }) => does,
    ),
    ...itemChanges(
      'stage',
      before?.stages ?? [],
      after.stages,
      ({ id }) => id,
      ({ lane }) => `${lane} lane`,
    ),
  ];
}

function itemChanges<Item extends object>(
  kind: string,
  before: readonly Item[],
  after: readonly Item[],
  nameOf: (item: Item) => string,
  about: (item: Item) => string,
): PlanChange[] {
  const old = new Map(before.map((item) => [nameOf(item), item]));
  const now = new Set(after.map(nameOf));
  return [
    ...after.flatMap((item): PlanChange[] => {
      const name = nameOf(item);
      const earlier = old.get(name);
      if (!earlier) return [{ sign: '+', what: `${kind} ${name}: ${about(item)}`, details: [] }];
      const details = fieldChanges(earlier, item);
      return details.length > 0 ? [{ sign: '~', what: `${kind} ${name}`, details }] : [];
    }),
    ...before
      .filter((item) => !now.has(nameOf(item)))
      .map((item): PlanChange => ({ sign: '-', what: `${kind} ${nameOf(item)}: ${about(item)}`, details: [] })),
  ];
}

function fieldChanges(before: object, after: object): string[] {
  const [old, now] = [before as Record<string, unknown>, after as Record<string, unknown>];
  return [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap((field) => {
    const [a, b] = [old[field], now[field]];
    if (canonicalJson(a ?? null) === canonicalJson(b ?? null)) return [];
    if (isNamedList(a) && isNamedList(b)) return listChanges(field, a, b);
    if (isRecord(a) && isRecord(b)) return fieldChanges(a, b).map((change) => `${field}.${change}`);
    return [`${field}: ${short(a)} → ${short(b)}`];
  });
}

type NamedItem = { readonly name?: string; readonly column?: string };

function listChanges(field: string, before: readonly NamedItem[], after: readonly NamedItem[]): string[] {
  const nameOf = (item: NamedItem) => item.name ?? item.column ?? '';
  const changes = itemChanges(field, before, after, nameOf, short);
  const lines = changes.map(({ sign, what, details }) => `${sign} ${[what, ...details].join(' ')}`);
  return lines.length > 0 ? lines : [`${field}: another order`];
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isNamedList = (value: unknown): value is NamedItem[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((item) => isRecord(item) && (typeof item['name'] === 'string' || typeof item['column'] === 'string'));

function short(value: unknown): string {
  const text = value === undefined ? 'nothing' : canonicalJson(value);
  return text.length <= 120 ? text : `${text.slice(0, 119)}…`;
}
