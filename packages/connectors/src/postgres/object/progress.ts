import type { FilePlan } from './decide.ts';
import type { DeployedFile } from './deployed.ts';
import type { Keepsakes } from './keepsakes.ts';
import { isMadeBy, keyOf, type SqlObject } from './object.ts';
import type { FileRun } from './run-file.ts';

/** An object that no file makes any longer, and the one that did. */
export interface Orphan extends SqlObject {
  readonly file: string;
}

/** What has come of a deployment so far: which files were run, and which objects are whose. */
export class Progress {
  /** The search path that files are run with. */
  readonly path: string;
  readonly keepsakes: Keepsakes[] = [];
  /** Files that are to be run whatever their hash says: what they made has been dropped. */
  readonly due = new Set<string>();
  readonly ran = new Set<string>();
  readonly #plans: ReadonlyMap<string, FilePlan>;
  readonly #made = new Map<string, readonly SqlObject[]>();
  readonly #orphans = new Map<string, Orphan>();

  constructor(path: string, plans: readonly FilePlan[], gone: readonly DeployedFile[]) {
    this.path = path;
    this.#plans = new Map(plans.map((plan) => [plan.file.name, plan]));
    for (const { file, before } of plans) this.#made.set(file.name, before?.objects.filter(({ left }) => !left) ?? []);
    for (const { file, before } of plans) this.#leave(file.name, before?.objects.filter(({ left }) => left) ?? []);
    for (const { file, objects } of gone) this.#leave(file, objects);
    for (const object of [...this.#made.values()].flat()) this.#orphans.delete(keyOf(object));
  }

  get plans(): readonly FilePlan[] {
    return [...this.#plans.values()];
  }

  madeBy(file: string): readonly SqlObject[] {
    return this.#made.get(file) ?? [];
  }

  /** The file that makes the object; null where it is nobody's, or was made by a file that is gone. */
  makerOf(object: Pick<SqlObject, 'kind' | 'identity'>): string | null {
    const key = keyOf(object);
    for (const [file, objects] of this.#made) if (objects.some((one) => keyOf(one) === key)) return file;
    return null;
  }

  /** What another file may make from now on: orphans, and what a file that is still to be run does not say it makes any longer. */
  get released(): readonly SqlObject[] {
    const given = this.plans.flatMap(({ file }) => this.madeBy(file.name).filter((object) => this.#givesUp(file.name, object)));
    return [...this.orphans, ...given];
  }

  #givesUp(file: string, object: SqlObject): boolean {
    const plan = this.#plans.get(file);
    return plan?.is === 'changed' && !this.ran.has(file) && !isMadeBy(plan.file.text, object);
  }

  /** Objects that no file makes any longer. */
  get orphans(): readonly Orphan[] {
    return [...this.#orphans.values()];
  }

  /** Materialized views that a file has left as they were, since they exist: IF NOT EXISTS says nothing of what is in them. */
  leftAlone(file: string, { touched, skipped }: FileRun): SqlObject[] {
    const keys = new Set(touched.map(({ object }) => keyOf(object)));
    return this.madeBy(file).filter(
      (object) =>
        object.kind === 'materialized view' && !keys.has(keyOf(object)) && skipped.some((line) => line.includes(`"${object.name}"`)),
    );
  }

  /** A file was run. What it has touched is its own, unless another file makes it; what it has not, and does not say it makes, is nobody's. */
  noteRun(file: string, { touched }: FileRun): void {
    const text = this.#plans.get(file)?.file.text ?? '';
    const own = touched
      .filter(({ object, made }) => {
        const maker = this.makerOf(object);
        if (maker === file) return true;
        return (maker === null || this.#givesUp(maker, object)) && (made || object.kind.endsWith('view') || isMadeBy(text, object));
      })
      .map(({ object: { address: _, ...object } }): SqlObject => object);
    const keys = new Set(own.map(keyOf));
    for (const object of this.madeBy(file)) {
      if (keys.has(keyOf(object))) continue;
      if (isMadeBy(text, object)) own.push(object);
      else this.#leave(file, [object]);
    }
    const mine = new Set(own.map(keyOf));
    for (const key of mine) this.#orphans.delete(key);
    for (const [other, objects] of this.#made)
      this.#made.set(
        other,
        objects.filter((object) => !mine.has(keyOf(object))),
      );
    this.#made.set(file, own);
    this.ran.add(file);
    this.due.delete(file);
  }

  forget(orphans: readonly SqlObject[]): void {
    for (const orphan of orphans) this.#orphans.delete(keyOf(orphan));
  }

  #leave(file: string, objects: readonly SqlObject[]): void {
    for (const object of objects) this.#orphans.set(keyOf(object), { ...object, left: true, file });
  }
}
