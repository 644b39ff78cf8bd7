import { existsSync, statSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';
import { type LoadedPipeline, loadPipeline } from '@millrace/worker';
import type { Project } from './config.ts';
import { globFiles } from './glob.ts';

export interface PipelineFile {
  /** Relative to the project. */
  readonly file: string;
  readonly loaded: LoadedPipeline | null;
  /** Why it is not. */
  readonly error: unknown;
}

/** Every file that the config's glob names, loaded where it loads. */
export async function listPipelines(project: Project): Promise<PipelineFile[]> {
  const files: PipelineFile[] = [];
  for (const file of globFiles(project.root, project.config.pipelines)) {
    if (!isPipelineFile(file)) continue;
    files.push(await load(project, file));
  }
  return files;
}

/** Tests and declarations stand beside pipelines. */
export const isPipelineFile = (file: string): boolean => !/\.(test|spec)(-d)?\.[cm]?[jt]s$|\.d\.[cm]?ts$/.test(file);

async function load(project: Project, file: string): Promise<PipelineFile> {
  try {
    return { file, loaded: await loadPipeline(join(project.root, file)), error: undefined };
  } catch (error) {
    return { file, loaded: null, error };
  }
}

/**
 * The pipeline that a person means: a path (from where the command was called), or the name of a pipeline of the project.
 *
 * @throws PIPELINE_NOT_FOUND, PIPELINE_INVALID where several files use the name, and what loading the file throws
 */
export async function findPipeline(project: Project, wanted: string, from: string): Promise<LoadedPipeline> {
  const path = resolve(from, wanted);
  if (existsSync(path) && statSync(path).isFile()) return loadPipeline(path);
  // Most files are named after their pipeline: look there first, and leave the others alone.
  const likely = globFiles(project.root, project.config.pipelines).find((file) => basename(file, extname(file)) === wanted);
  if (likely !== undefined) {
    const loaded = await loadPipeline(join(project.root, likely));
    if (loaded.pipeline.name === wanted) return loaded;
  }
  const all = await listPipelines(project);
  const named = all.filter(({ loaded }) => loaded?.pipeline.name === wanted);
  if (named.length > 1)
    throw namedTwice(
      wanted,
      named.map(({ file }) => file),
    );
  const found = named[0]?.loaded;
  if (found) return found;
  const broken = all.filter(({ loaded }) => !loaded).map(({ file }) => file);
  throw new MillraceError('PIPELINE_NOT_FOUND', {
    message: `There is no pipeline "${wanted}": no such file, and none of that name among ${project.config.pipelines} in ${project.root}.`,
    remedy:
      broken.length > 0
        ? `${broken.join(', ')} did not load: "millrace plan" says why.`
        : '"millrace plan" without arguments lists the pipelines that are there.',
    facts: { wanted, pipelines: all.flatMap(({ loaded }) => loaded?.pipeline.name ?? []) },
  });
}

export const namedTwice = (name: string, files: readonly string[]): MillraceError =>
  new MillraceError('PIPELINE_INVALID', {
    message: `${files.join(' and ')} all call their pipeline "${name}".`,
    remedy: 'Rename all but one of them: runs and checkpoints are kept under the name.',
    facts: { pipeline: name, files },
  });
