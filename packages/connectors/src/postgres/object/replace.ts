import { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { atAddresses, type FoundObject, lookUp } from './catalog.ts';
import { dependentsOf } from './dependents.ts';
import { keepsakesOf } from './keepsakes.ts';
import { isMadeBy, keyOf, type SqlObject } from './object.ts';
import type { Progress } from './progress.ts';

/**
 * Drops what a file has made before, and whatever of our files stands on it, so that they can be run: they are `due` then. With
 * `types: false` types stay, which tables may use. Answers false where there is nothing that would be ours to drop.
 *
 * @throws OBJECTS_REFUSED where something else stands on it
 */
export async function clearTheWay(
  file: string,
  { types }: { readonly types: boolean },
  progress: Progress,
  session: Session,
): Promise<boolean> {
  const files = new Set([file]);
  const text = progress.plans.find((plan) => plan.file.name === file)?.file.text ?? '';
  const moved = progress.released.filter((object) => isMadeBy(text, object));
  for (;;) {
    const ours = [...files].flatMap((name) => progress.madeBy(name)).concat(moved);
    const start = [
      ...(
        await lookUp(
          ours.filter(({ kind }) => types || kind !== 'type'),
          session,
        )
      ).values(),
    ];
    if (start.length === 0) return false;
    const { order, standing } = await dependentsOf(
      start.map(({ address }) => address),
      session,
    );
    const going = new Map((await atAddresses(order, session)).map((object) => [object.address, object]));
    const makers = [...going.values()].flatMap((object) => progress.makerOf(object) ?? []);
    const known = new Set(start.map(({ address }) => address));
    const others = [...standing].filter(([address]) => !known.has(address) && !isOurs(going.get(address), progress));
    if (others.length > 0)
      throw standsOnIt(
        file,
        start,
        others.map(([, described]) => described),
      );
    const before = files.size;
    for (const maker of makers) files.add(maker);
    if (files.size > before) continue;
    const dropped = order.flatMap((address) => (standing.has(address) ? (going.get(address) ?? []) : []));
    progress.keepsakes.push(await keepsakesOf(dropped, new Set([...files].flatMap((name) => progress.madeBy(name).map(keyOf))), session));
    await dropAll(dropped, session);
    for (const name of files) progress.due.add(name);
    return true;
  }
}

const isOurs = (object: FoundObject | undefined, progress: Progress): boolean => object !== undefined && progress.makerOf(object) !== null;

/**
 * Drops objects that no file makes any longer.
 *
 * @throws OBJECTS_REFUSED where anything else stands on them
 */
export async function dropOrphans(orphans: readonly FoundObject[], session: Session): Promise<void> {
  const { order, standing } = await dependentsOf(
    orphans.map(({ address }) => address),
    session,
  );
  const known = new Map(orphans.map((object) => [object.address, object]));
  const others = [...standing].filter(([address]) => !known.has(address)).map(([, described]) => described);
  if (others.length > 0) {
    throw new MillraceError('OBJECTS_REFUSED', {
      message: `${listed(orphans)} ${orphans.length === 1 ? 'is' : 'are'} to be dropped, since no file makes ${orphans.length === 1 ? 'it' : 'them'} any longer, and ${others.join(', ')} would go as well.`,
      remedy: 'Change or drop what stands on it first, or put the file back.',
      facts: { dependents: others },
    });
  }
  await dropAll(
    order.flatMap((address) => (standing.has(address) ? (known.get(address) ?? []) : [])),
    session,
  );
}

/** Each by itself, so that the server refuses whatever has come to stand on it meanwhile. */
async function dropAll(objects: readonly FoundObject[], session: Session): Promise<void> {
  for (const { kind, identity } of objects) await session.execute(`DROP ${kind.toUpperCase()} ${identity} RESTRICT`, [], identity);
}

export const notOurs = (file: string, cause?: Error): MillraceError =>
  new MillraceError('OBJECTS_REFUSED', {
    message: `${JSON.stringify(file)} makes something that is there already, and that none of these files has made.${cause ? ` ${cause.message}` : ''}`,
    remedy: 'Drop it once, write CREATE OR REPLACE or IF NOT EXISTS, or give the object another name.',
    facts: { file },
  });

const standsOnIt = (file: string, start: readonly SqlObject[], others: readonly string[]): MillraceError =>
  new MillraceError('OBJECTS_REFUSED', {
    message: `${JSON.stringify(file)} cannot be put in place of what it made before without dropping ${listed(start)}, and ${others.join(', ')}, which no file makes, ${others.length === 1 ? 'stands' : 'stand'} on that.`,
    remedy:
      'Put that into a file of the folder as well, so that it is made anew; or drop or change it first. Columns that are added at the end of a view need none of this.',
    facts: { file, dependents: others },
  });

const listed = (objects: readonly SqlObject[]): string => objects.map(keyOf).join(', ');
