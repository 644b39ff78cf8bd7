import { type CapturedTable, MillraceError, type Position } from '@millrace/core/runtime';
import { declaredNumbers } from '../../postgres/capture/column-memory.ts';
import { type Relation, readRelation } from '../catalog.ts';
import { showName } from '../identifier.ts';
import type { Session } from '../session.ts';
import { type FollowedParts, logTypeOf } from './followed-table.ts';
import { readEvents, writeEvent } from './home.ts';
import { type Event, type Joined, joinedNow, joinOf, type Lineage, lineageAt } from './lineage.ts';
import { fenced, type StreamOwner } from './stream-check.ts';

type Captured = Readonly<Record<string, CapturedTable>>;

/** The stream in which tables are remembered. */
export interface Remembering {
  readonly session: Session;
  readonly owner: StreamOwner;
  readonly name: string;
}

/**
 * Tables join at the position of a snapshot, or join anew. A table of a stream that goes on must have no column that came since and is not declared:
 * targets have it by now, and the copy would not.
 *
 * @throws SCHEMA_CHANGED, ATTEMPT_FENCED
 */
export async function joinTables(
  { session, owner, name }: Remembering,
  tables: Captured,
  relations: ReadonlyMap<string, Relation>,
  position: Position,
): Promise<void> {
  const events = await readEvents(session, name);
  for (const [table, relation] of relations) {
    const declared = namesOf(tables[table]);
    const before = lineageAt(events.get(table) ?? [], position);
    const joined = joinedNow(
      relation.columns.map((column) => column.name),
      before,
      declared,
      typesOf(relation),
    );
    const late = before ? lateColumns(before.joined, joined) : [];
    if (late.length > 0) {
      throw new MillraceError('SCHEMA_CHANGED', {
        message: `${showName(relation)} has got ${list(late)} since it joined the stream, which its table() declaration does not have: a new copy would lose them.`,
        remedy: `Declare them ("millrace introspect" writes the declaration anew), and start again.`,
        facts: { table, columns: late },
      });
    }
    if (!(await writeEvent(session, name, owner.epoch, table, { kind: 'join', at: position, joined }))) throw fenced(owner);
  }
}

/** Columns that came after the table joined and that nobody has declared. */
function lateColumns(before: Joined, now: Joined): string[] {
  const known = new Set([...before.columns.map(({ number }) => number), ...Object.values(now.declared)]);
  return now.columns.filter(({ number }) => !known.has(number)).map((column) => column.name);
}

/**
 * Tables as they are followed from `after` on, or from the position of their copies.
 *
 * @throws RESYNC_REQUIRED for a table of which the source does not remember that it joined, or of which columns are declared that were not copied
 */
export async function followedTables(
  stream: Remembering,
  tables: Captured,
  after: Position,
  copied: ReadonlyMap<string, Position>,
): Promise<Omit<FollowedParts, 'wholeRows'>[]> {
  const { session, name } = stream;
  const events = await readEvents(session, name);
  const isRemembered = [...events.values()].flat().some(({ kind }) => kind === 'join');
  const followed: Omit<FollowedParts, 'wholeRows'>[] = [];
  for (const [table, { name: shown, schema }] of Object.entries(tables)) {
    const catalog = await readRelation(session, shown);
    const declared = namesOf(tables[table]);
    const copy = copied.get(table);
    let known = events.get(table) ?? [];
    if (!known.some(({ kind }) => kind === 'join')) {
      if (!isRemembered || copy !== undefined) throw forgotten(stream, table, shown);
      known = [...known, await joinWithoutCopy(stream, table, catalog, declared, after)];
    }
    const join = joinOf(known, copy ?? after) as NonNullable<ReturnType<typeof joinOf>>;
    const joinedAt = copy ?? (join.at > after ? join.at : after);
    const lineage = lineageAt(known, joinedAt > after ? joinedAt : after, join.at) as Lineage;
    const latest = lineageAt(known, last, join.at) as Lineage;
    const numbers = numbersOf(declared, join.joined, latest);
    checkCopied(stream, table, shown, join.joined, numbers);
    if (JSON.stringify(numbers) !== JSON.stringify(join.joined.declared))
      await remember(stream, table, { ...join, joined: { ...join.joined, declared: numbers } });
    followed.push({ table, declared: schema, catalog, numbers, lineage, joinedAt });
  }
  return followed;
}

/** It came to the pipeline after the stream had begun, and is followed without a first copy. */
async function joinWithoutCopy(
  stream: Remembering,
  table: string,
  catalog: Relation,
  declared: readonly string[],
  at: Position,
): Promise<Event> {
  const names = catalog.columns.map((column) => column.name);
  const join: Event = { kind: 'join', at, joined: joinedNow(names, null, declared, typesOf(catalog)) };
  await remember(stream, table, join);
  return join;
}

async function remember({ session, owner, name }: Remembering, table: string, event: Event): Promise<void> {
  if (!(await writeEvent(session, name, owner.epoch, table, event))) throw fenced(owner);
}

/** A declaration that has not changed means the columns that it meant before, whatever they are called now. */
function numbersOf(declared: readonly string[], joined: Joined, latest: Lineage): Record<string, number> {
  const now = Object.fromEntries(latest.columns.map(({ name, number }) => [name, number]));
  return declaredNumbers(declared, joined.declared, now);
}

function checkCopied(
  { owner }: Remembering,
  table: string,
  shown: string,
  { columns, declared }: Joined,
  numbers: Readonly<Record<string, number>>,
): void {
  const wereDeclared = new Set(Object.values(declared));
  const uncopied = Object.entries(numbers).filter(
    ([, number]) => columns.some((one) => one.number === number) && !wereDeclared.has(number),
  );
  if (uncopied.length === 0) return;
  const names = uncopied.map(([name]) => name);
  throw resync(
    owner,
    table,
    `${list(names)} of ${shown} was there when the table was copied and not declared then, so its values were not copied.`,
  );
}

const forgotten = ({ owner, name }: Remembering, table: string, shown: string): MillraceError =>
  resync(owner, table, `The source does not remember that ${shown} has joined the stream "${name}".`);

const resync = ({ stream: { pipeline } }: StreamOwner, table: string, message: string): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message,
    remedy: `Run "millrace resync ${pipeline} --table ${table}" to copy it again.`,
    facts: { pipeline, table },
  });

/** After every place of a stream. */
const last = '~';

const typesOf = ({ columns }: Relation): Record<string, string> =>
  Object.fromEntries(columns.map((column) => [column.name, logTypeOf(column)]));
const namesOf = (table: CapturedTable | undefined): string[] => table?.schema.columns.map(({ name }) => name) ?? [];
const list = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');
