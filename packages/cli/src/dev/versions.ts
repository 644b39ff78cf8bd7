import { join } from 'node:path';
import { compile, type Plan, type RunRecord } from '@millrace/core/runtime';
import { type Deployed, type LoadedPipeline, loadPipeline, snapshotOf } from '@millrace/worker';
import type { Project } from '../project/config.ts';
import { globFiles } from '../project/glob.ts';
import { isPipelineFile, namedTwice } from '../project/pipelines.ts';
import { changedSince, signatureOf } from './signature.ts';

/** What a look at the pipeline files has found. Files are relative to the project. */
export type Found =
  | { readonly type: 'deployed'; readonly file: string; readonly plan: Plan; readonly before: Plan | null; readonly loaded: LoadedPipeline }
  /** `keeps` is the pipeline whose version before this one stays deployed. */
  | { readonly type: 'broken'; readonly file: string; readonly error: unknown; readonly keeps: string | null }
  | { readonly type: 'gone'; readonly file: string; readonly pipeline: string };

interface PipelineFile {
  /** Of `inputs`, when they were last loaded. */
  signature: string;
  /** What its code was made of, absolute. */
  inputs: readonly string[];
  /** Files beside its code that are a part of it, and their folders, absolute. */
  reads: readonly string[];
  /** Why it does not load or compile. */
  error: string | null;
  /** The last version that does, and its code. */
  deployed: Deployed | null;
  code: string | null;
}

/** Milliseconds in which whoever writes a file may still be writing. */
const settleMs = 100;

/**
 * The pipelines of a project while people work on them. The code of each version is kept as it was, so that a run which was made from it
 * ends with it, whatever becomes of the file. Node lets go of no module: a version costs what its own code takes, not that of packages.
 */
export class Versions {
  /** By name: what is deployed now. The same map all the time. */
  readonly pipelines = new Map<string, Deployed>();
  readonly #project: Project;
  readonly #files = new Map<string, PipelineFile>();
  /** By fingerprint; the newest code where functions alone have changed, which makes no other version. */
  readonly #code = new Map<string, string>();

  constructor(project: Project) {
    this.#project = project;
  }

  /** The code of a run's own version; null where this process never had it. */
  fileOf = ({ plan }: Pick<RunRecord, 'plan'>): string | null => this.#code.get(plan.fingerprint) ?? null;

  /** Loads what has changed since the last look. */
  async look(): Promise<Found[]> {
    const { root, config } = this.#project;
    const there = globFiles(root, config.pipelines).filter(isPipelineFile);
    const found: Found[] = [];
    for (const [file, { deployed }] of this.#files) {
      if (there.includes(file)) continue;
      this.#files.delete(file);
      if (deployed && this.#undeploy(deployed)) found.push({ type: 'gone', file, pipeline: deployed.plan.pipeline });
    }
    for (const file of there) {
      const one = await this.#refresh(file);
      if (one) found.push(one);
    }
    return found;
  }

  async #refresh(file: string): Promise<Found | null> {
    const path = join(this.#project.root, file);
    const seen = this.#files.get(file);
    const known = seen ?? { signature: '', inputs: [path], reads: [], error: null, deployed: null, code: null };
    this.#files.set(file, known);
    if (signatureOf(this.#watched(known)) === known.signature) return null;
    if (seen && changedSince(this.#watched(known), Date.now() - settleMs)) return null; // at the next look
    const began = Date.now();
    const found = await this.#load(file, path, known);
    // What has changed while it was loaded is loaded again.
    const watched = this.#watched(known);
    known.signature = changedSince(watched, began) ? '' : signatureOf(watched);
    return found;
  }

  async #load(file: string, path: string, known: PipelineFile): Promise<Found | null> {
    try {
      const snapshot = await snapshotOf(path, signatureOf(known.reads));
      known.inputs = snapshot.inputs;
      const loaded = await loadPipeline(path, { snapshot: snapshot.file });
      known.reads = loaded.reads;
      const plan = compile(loaded.pipeline);
      const other = this.pipelines.get(plan.pipeline);
      if (other && other.file !== path) throw namedTwice(plan.pipeline, [other.file, path]);
      const mended = known.error !== null;
      known.error = null;
      if (known.code === snapshot.file && !mended) return null;
      return this.#deploy(file, known, { file: path, plan }, snapshot.file, loaded);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const told = known.error === text;
      known.error = text;
      return told ? null : { type: 'broken', file, error, keeps: known.deployed?.plan.pipeline ?? null };
    }
  }

  #deploy(file: string, known: PipelineFile, deployed: Deployed, code: string, loaded: LoadedPipeline): Found {
    const { plan } = deployed;
    const last = known.deployed;
    if (last && last.plan.pipeline !== plan.pipeline) this.#undeploy(last);
    known.deployed = deployed;
    known.code = code;
    this.pipelines.set(plan.pipeline, deployed);
    this.#code.set(plan.fingerprint, code);
    return { type: 'deployed', file, plan, before: last?.plan ?? null, loaded };
  }

  #undeploy({ file, plan }: Deployed): boolean {
    if (this.pipelines.get(plan.pipeline)?.file !== file) return false;
    return this.pipelines.delete(plan.pipeline);
  }

  /** Where something is broken, all code of the project: what is missing may come anywhere. */
  #watched({ inputs, reads, error }: PipelineFile): readonly string[] {
    if (error === null) return [...inputs, ...reads];
    const { root } = this.#project;
    const code = globFiles(root, '**/*.{ts,mts,cts,js,mjs,cjs,json,sql}').map((file) => join(root, file));
    return [...new Set([...inputs, ...reads, ...code])];
  }
}
