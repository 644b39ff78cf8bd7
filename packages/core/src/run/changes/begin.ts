import type { ChangeSource, Position, StreamIdentity, TableSnapshot } from '../../connector/index.ts';
import { passing } from '../failpoints.ts';
import { Held } from '../held.ts';
import { letGo } from '../let-go.ts';
import type { StageJob, StagePorts } from '../stage-job.ts';
import type { ChangeChain } from './branches.ts';
import { type CopySetting, type CopyWork, copyTables } from './copy.ts';
import type { Following } from './following.ts';
import { type RefreshNote, refreshNote, refreshPart } from './refresh.ts';
import { beginOf, sameStream } from './start.ts';

export interface BeginParts {
  readonly job: StageJob;
  readonly chain: ChangeChain;
  readonly followers: readonly Following[];
  readonly source: ChangeSource;
  readonly ports: StagePorts;
  readonly setting: CopySetting;
}

/** Finds or makes the stream, and copies what is missing. Afterwards every sink has a place in it. */
export async function begin(parts: BeginParts): Promise<void> {
  const { job, chain, followers, source } = parts;
  const tables = Object.keys(chain.capture.source.tables);
  const copied = chain.capture.snapshot === 'initial' || job.fullRefresh ? tables : [];
  const note = job.fullRefresh ? refreshNote(job.earlier) : null;
  if (job.fullRefresh && note === null) return anew(parts, copied, null);
  const status = await source.stream();
  if (
    note &&
    !followers.every(({ state }) => sameStream(state.identity, note.identity) && sameStream(status?.identity ?? null, note.identity))
  )
    return anew(parts, copied, note);
  const start = beginOf(
    job.run.pipeline,
    followers.map(({ branch, state }) => ({ name: branch.name, state })),
    status,
  );
  if (start.kind === 'new') return anew(parts, copied, null);
  const { identity } = status as NonNullable<typeof status>;
  const joining = followers.filter(({ branch }) => start.joining.includes(branch.name));
  // A run that ends when it has caught up has no time for them later; and a stream that cannot go on without them never gets there.
  const asked = job.until === 'caught-up' ? await parts.ports.streamRequests?.() : undefined;
  const requests = (asked ?? []).filter((request) => request.tables.every((table) => tables.includes(table)));
  const again = requests.flatMap((request) => request.tables);
  for (const { copied: there } of followers) for (const table of again) there.delete(table);
  await goOn(parts, [...new Set([...copied, ...again])], identity, joining, { ...note?.reliedOn, ...everywhere(followers, again) });
  for (const { id } of requests) await parts.ports.answerRequest?.(id, null);
}

/** Asked for while nobody followed the stream: readers see what is there until the copy is. */
const everywhere = (followers: readonly Following[], tables: readonly string[]): RefreshNote['reliedOn'] =>
  tables.length > 0 ? Object.fromEntries(followers.map(({ branch }) => [branch.name, tables])) : {};

/** A new stream, and all tables copied from its snapshot. */
async function anew(
  { job, followers, source, ports, setting }: BeginParts,
  tables: readonly string[],
  note: RefreshNote | null,
): Promise<void> {
  const { identity, snapshot } = await source.create();
  await using _snapshot = letGo(snapshot, 'the snapshot', setting.context.log);
  passing('engine.stream.created');
  setting.meter.slot(identity.slot);
  const reliedOn = Object.fromEntries(
    followers.map(({ branch: { name }, copied }) => [name, [...new Set([...copied.keys(), ...(note?.reliedOn[name] ?? [])])]]),
  );
  if (job.fullRefresh) await ports.storePart(refreshPart({ identity, reliedOn }));
  for (const following of followers) await join(following, identity, snapshot.position);
  await copyMissing(snapshot, followers, tables, reliedOn, setting);
}

async function goOn(
  { source, followers, setting }: BeginParts,
  tables: readonly string[],
  identity: StreamIdentity,
  joining: readonly Following[],
  reliedOn: RefreshNote['reliedOn'],
): Promise<void> {
  setting.meter.slot(identity.slot);
  const missing = tables.filter((table) => followers.some((following) => joining.includes(following) || !following.copied.has(table)));
  if (missing.length === 0 && joining.length === 0) return;
  await using snapshot = await source.snapshot(missing.length > 0 ? missing : Object.keys(followers[0]?.branch.tables ?? {}));
  for (const following of joining) await join(following, identity, snapshot.position);
  await copyMissing(snapshot, followers, tables, reliedOn, setting);
}

/** Each table is complete on its own: after a crash only the others are copied again, from a later snapshot. */
async function copyMissing(
  snapshot: TableSnapshot,
  followers: readonly Following[],
  tables: readonly string[],
  reliedOn: RefreshNote['reliedOn'],
  setting: CopySetting,
): Promise<void> {
  const works = followers.flatMap(({ branch, sink, copied }): CopyWork[] => {
    const missing = tables.filter((table) => !copied.has(table));
    // Readers may rely on what an earlier stream has left.
    const isReliedOn = (table: string): boolean => reliedOn[branch.name]?.includes(table) ?? false;
    return [
      { branch, sink, tables: missing.filter((table) => !isReliedOn(table)), how: 'fresh' as const },
      { branch, sink, tables: missing.filter(isReliedOn), how: 'beside' as const },
    ].filter((work) => work.tables.length > 0);
  });
  await using held = new Held();
  await copyTables(snapshot, works, setting, held, async ({ copy }) => {
    await copy.finish(snapshot.position);
    passing('engine.stream.table-copied');
  });
  for (const { copied } of followers) for (const table of tables) if (!copied.has(table)) copied.set(table, snapshot.position);
}

async function join(following: Following, identity: StreamIdentity, position: Position): Promise<void> {
  await following.sink.follow(identity, position);
  passing('engine.stream.followed');
  following.position = position;
  following.durable = position;
  following.copied.clear();
}
