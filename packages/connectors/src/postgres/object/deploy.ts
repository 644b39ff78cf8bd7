import type { ObjectsTask } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { lockAlone } from '../sink/ledger.ts';
import type { Doing } from '../task/doing.ts';
import { lookUp } from './catalog.ts';
import { type Deployment, decideDeployment, type FilePlan } from './decide.ts';
import { deployedBy, forget, note, takeOver } from './deployed.ts';
import { putBack } from './keepsakes.ts';
import { keyOf, type SqlObject } from './object.ts';
import { Progress } from './progress.ts';
import { clearTheWay, dropOrphans, notOurs } from './replace.ts';
import { mustBeReplaced, runFile, setPath } from './run-file.ts';

/** Any number will do, as long as every Millrace takes the same. */
const deployLock = 7_262_114_029;

/**
 * Runs the files that have changed, in the transaction that notes it: all of them, or none. Of two at once the second waits, and finds the
 * first one's work.
 *
 * A file is run as it stands. What cannot be replaced in place (a view whose columns have changed, a materialized view, a function that
 * returns something else) is dropped first, with all of our files' objects that stand on it, and these files are run again; grants, owners,
 * comments and other people's indexes are put back. Where anything else stands on it, nothing is done.
 *
 * @throws OBJECTS_REFUSED, and what the database says of a file, with its name
 */
export async function deploy(task: ObjectsTask, doing: Doing): Promise<(number | null)[]> {
  const { session, owner, tell } = doing;
  await session.execute(`SET LOCAL lock_timeout = '60s'`);
  await lockAlone(session, deployLock);
  await takeOver(owner, task.files, session);
  const { path, server, deployment } = await lookAtObjects(task, doing);
  const { files, gone, renamed, drift } = deployment;
  for (const { from, to } of renamed) tell(`${to} is what was ${from}`);
  for (const { file, object } of drift) tell(`${keyOf(object)} of ${file} was changed by somebody else`);

  const progress = new Progress(path, files, gone);
  for (const plan of files) {
    const { name } = plan.file;
    if (progress.ran.has(name) || (plan.is === 'same' && !progress.due.has(name))) continue;
    await runOne(plan, progress, session);
    tell(`${name}: ${doneTo[plan.is]}`);
  }
  for (const keepsakes of progress.keepsakes) {
    for (const identity of await putBack(keepsakes, session)) tell(`${identity} is not made any longer, and its grants went with it`);
  }
  const dropped = await seeToOrphans(task, progress, doing);

  if (progress.ran.size === 0 && renamed.length === 0 && dropped === 0) {
    tell(`nothing has changed in ${task.files.length} ${task.files.length === 1 ? 'file' : 'files'}`);
    return [];
  }
  await noteAll(task, progress, server, doing);
  for (const { from } of renamed) await forget(owner, from, session);
  for (const { file } of gone) if (!progress.orphans.some((orphan) => orphan.file === file)) await forget(owner, file, session);
  return [];
}

const doneTo: Readonly<Record<FilePlan['is'], string>> = {
  new: 'deployed',
  changed: 'deployed anew',
  missing: 'run again, since something that it made was gone',
  drifted: 'run again, since somebody else had changed what it made',
  same: 'run again, since what it stands on was made anew',
};

export interface Look {
  /** The search path that the session began with. */
  readonly path: string;
  readonly server: number;
  readonly deployment: Deployment;
}

/** Inside a transaction; leaves it with an empty search path, as all that reads the catalog here expects. */
export async function lookAtObjects(task: ObjectsTask, { session, owner }: Pick<Doing, 'session' | 'owner'>): Promise<Look> {
  const [row] = await session.query(`SELECT current_setting('search_path') AS path`);
  await setPath('', session);
  const deployed = await deployedBy(owner, session);
  const now = await lookUp(
    deployed.flatMap(({ objects }) => objects),
    session,
  );
  const server = Math.trunc(session.version / 10_000);
  return { path: row?.['path'] ?? '', server, deployment: decideDeployment(task, deployed, now, server) };
}

/** Runs one file; where it cannot be put over what is there, that is dropped and the files that made it are run again, up to this one. */
async function runOne({ file, is }: FilePlan, progress: Progress, session: Session): Promise<void> {
  const refused = await attempt(session, async () => {
    const run = await runFile(file, progress.path, session);
    if ((is === 'changed' || is === 'drifted') && progress.leftAlone(file.name, run).length > 0) return notOurs(file.name);
    progress.noteRun(file.name, run);
    return null;
  });
  if (refused === null) return;
  for (const types of [false, true]) {
    let cleared = false;
    const again = await attempt(session, async () => {
      cleared = await clearTheWay(file.name, { types }, progress, session);
      if (!cleared) return refused;
      for (const { file: one } of progress.plans) {
        if (progress.due.has(one.name)) progress.noteRun(one.name, await runFile(one, progress.path, session));
        if (one.name === file.name) break; // the others come when it is their turn
      }
      return null;
    });
    if (again === null) return;
    if (types) throw cleared ? again : notOurs(file.name, again);
  }
}

/** Undoes the work where it is refused for what is there already, and answers with that. @throws whatever else it throws */
async function attempt(session: Session, work: () => Promise<Error | null>): Promise<Error | null> {
  await session.execute('SAVEPOINT millrace_file');
  let refused: Error | null;
  try {
    refused = await work();
  } catch (error) {
    if (!mustBeReplaced(error)) throw error;
    refused = error;
  }
  await session.execute(refused === null ? 'RELEASE SAVEPOINT millrace_file' : 'ROLLBACK TO SAVEPOINT millrace_file');
  return refused;
}

/** Answers how many were dropped. */
async function seeToOrphans({ removed }: ObjectsTask, progress: Progress, { session, tell }: Doing): Promise<number> {
  const there = await lookUp(progress.orphans, session);
  progress.forget(progress.orphans.filter((orphan) => !there.has(keyOf(orphan))));
  if (there.size === 0) return 0;
  if (removed === 'tell') {
    for (const orphan of progress.orphans) tell(`${keyOf(orphan)} is not made by ${orphan.file} any longer, and is still there`);
    return 0;
  }
  await dropOrphans([...there.values()], session);
  for (const orphan of progress.orphans) tell(`${keyOf(orphan)} was dropped, for ${orphan.file} does not make it any longer`);
  progress.forget(progress.orphans);
  return there.size;
}

async function noteAll({ files }: ObjectsTask, progress: Progress, server: number, { session, owner, context }: Doing): Promise<void> {
  const now = await lookUp(
    files.flatMap(({ name }) => progress.madeBy(name)),
    session,
  );
  for (const { name, hash } of files) {
    const made = progress.madeBy(name).map((object): SqlObject => {
      const definition = progress.ran.has(name) ? (now.get(keyOf(object))?.definition ?? null) : object.definition;
      return { ...object, definition };
    });
    const orphans = progress.orphans.filter((orphan) => orphan.file === name).map(({ file: _, ...object }): SqlObject => object);
    await note(owner, context.run.id, { file: name, hash, objects: [...made, ...orphans], server }, session);
  }
}
