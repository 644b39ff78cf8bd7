import type { ObjectsTask, SqlFile } from '@millrace/core/runtime';
import type { DeployedFile } from './deployed.ts';
import { keyOf, type SqlObject } from './object.ts';

/** What there is to do for the files to be true in the database. */
export interface Deployment {
  /** In the order of the folder. */
  readonly files: readonly FilePlan[];
  /** Files that were deployed and are not in the folder any longer. */
  readonly gone: readonly DeployedFile[];
  /** Files that have another name now, and the same content. */
  readonly renamed: readonly { readonly from: string; readonly to: string }[];
  /** Objects that somebody else has changed. */
  readonly drift: readonly { readonly file: string; readonly object: SqlObject }[];
}

export interface FilePlan {
  readonly file: SqlFile;
  /** `missing`: somebody else has dropped what it made. `drifted`: somebody has changed it, and it is to be restored. */
  readonly is: 'new' | 'changed' | 'missing' | 'drifted' | 'same';
  readonly before: DeployedFile | null;
}

/** `now` has the objects that are there, by key; `server` is the major version that printed their definitions. */
export function decideDeployment(
  task: Pick<ObjectsTask, 'files' | 'changed'>,
  deployed: readonly DeployedFile[],
  now: ReadonlyMap<string, SqlObject>,
  server: number,
): Deployment {
  const { known, gone, renamed } = match(task.files, deployed);
  const drift: { file: string; object: SqlObject }[] = [];
  const files = task.files.map((file): FilePlan => {
    const before = known.get(file.name) ?? null;
    if (before === null) return { file, is: 'new', before };
    const made = before.objects.filter(({ left }) => !left);
    const changed = before.server === server ? made.filter((object) => hasChanged(object, now.get(keyOf(object)))) : [];
    drift.push(...changed.map((object) => ({ file: file.name, object })));
    if (before.hash !== file.hash) return { file, is: 'changed', before };
    if (made.some((object) => !now.has(keyOf(object)))) return { file, is: 'missing', before };
    return { file, is: changed.length > 0 && task.changed === 'restore' ? 'drifted' : 'same', before };
  });
  return { files, gone, renamed, drift };
}

const hasChanged = (before: SqlObject, now: SqlObject | undefined): boolean =>
  now !== undefined && before.definition !== null && now.definition !== before.definition;

/** What is known of each file; one that is not there under its name is looked for by its content. */
function match(files: readonly SqlFile[], deployed: readonly DeployedFile[]) {
  const wanted = new Set(files.map(({ name }) => name));
  const known = new Map(deployed.filter(({ file }) => wanted.has(file)).map((one) => [one.file, one]));
  const gone = deployed.filter(({ file }) => !wanted.has(file));
  const renamed: { from: string; to: string }[] = [];
  for (const { name, hash } of files) {
    const at = known.has(name) ? -1 : gone.findIndex((one) => one.hash === hash);
    const [before] = at < 0 ? [] : gone.splice(at, 1);
    if (!before) continue;
    renamed.push({ from: before.file, to: name });
    known.set(name, before);
  }
  return { known, gone, renamed };
}
