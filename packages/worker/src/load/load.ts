import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { isMillraceError, MillraceError, type Pipeline, type Step, stepsMade } from '@millrace/core/runtime';
import { importFile } from './import-file.ts';
import { withOriginalPlaces } from './places.ts';

export interface LoadedPipeline {
  /** Absolute. */
  readonly file: string;
  readonly pipeline: Pipeline;
  /** Steps that the file has made and its pipeline does not list, one line each: perhaps forgotten in `steps`. */
  readonly unlisted: readonly string[];
  /** Files and folders beside its code that it has read and that are a part of it, absolute: files of SQL. */
  readonly reads: readonly string[];
}

/**
 * Imports a pipeline file, TypeScript or JavaScript; its code from a snapshot of it where one is given.
 *
 * @throws PIPELINE_NOT_FOUND, PIPELINE_INVALID and what the file throws itself
 */
export async function loadPipeline(path: string, { snapshot = path }: { readonly snapshot?: string } = {}): Promise<LoadedPipeline> {
  const file = resolve(path);
  if (!existsSync(file)) {
    throw new MillraceError('PIPELINE_NOT_FOUND', {
      message: `There is no pipeline file ${file}.`,
      remedy: 'Give the path of a file whose default export is a pipeline().',
      facts: { file },
    });
  }
  const before = new Set(stepsMade());
  const pipeline = pipelineOf(await imported(resolve(snapshot), file), file);
  const listed = new Set(Object.values(pipeline.steps));
  const unlisted = stepsMade().filter((step) => !before.has(step) && !listed.has(step));
  return { file, pipeline, unlisted: unlisted.map(describe), reads: readsOf(pipeline) };
}

function readsOf({ steps }: Pipeline): string[] {
  return Object.values(steps).flatMap(({ work }) => {
    if (work.kind !== 'execute' || work.request.kind !== 'task' || work.request.task.kind !== 'objects') return [];
    const { folder, files } = work.request.task;
    const paths = files.map(({ name }) => join(folder, name));
    return [...new Set([folder, ...paths.map(dirname), ...paths])];
  });
}

async function imported(code: string, file: string): Promise<unknown> {
  try {
    return await importFile(code);
  } catch (error) {
    if (isMillraceError(error)) throw error;
    const message = (error instanceof Error ? error.message : String(error)).replaceAll(code, file);
    throw new MillraceError('PIPELINE_INVALID', {
      message: `${file} cannot be loaded: ${message}${placeOf(error, file)}`,
      remedy: 'Mend the file; "npx tsc --noEmit" shows what TypeScript thinks of it.',
      facts: { file },
      cause: error,
    });
  }
}

/** The first line of the stack that is not inside Node: where to look. */
function placeOf(error: unknown, file: string): string {
  const stack = error instanceof Error ? withOriginalPlaces(error.stack ?? '') : '';
  const line = stack.split('\n').find((one) => one.includes('file://') && !one.includes('/node_modules/'));
  const place = line?.match(/file:\/\/[^\s)]+/)?.[0];
  return place === undefined || place.endsWith(file) ? '' : ` (${place})`;
}

/** Told by its `kind`, not by its class: the file may see another copy of the core. */
function pipelineOf(module: unknown, file: string): Pipeline {
  const exported = (module as { default?: unknown }).default;
  // A project without "type": "module" is loaded as CommonJS, and its default export is one deeper.
  for (const candidate of [exported, (exported as { default?: unknown } | undefined)?.default]) {
    if (typeof candidate === 'object' && candidate !== null && (candidate as Pipeline).kind === 'pipeline') return candidate as Pipeline;
  }
  throw new MillraceError('PIPELINE_INVALID', {
    message: `${file} does not export a pipeline by default.`,
    remedy: 'End the file with "export default pipeline({ name, steps })".',
    facts: { file },
  });
}

function describe({ work }: Step): string {
  switch (work.kind) {
    case 'extract':
      return `extract of ${work.selection.description.object}`;
    case 'transform':
      return work.transform.name;
    case 'load':
      return `load into ${work.target.description.object}`;
    case 'execute':
      return `${work.request.kind === 'task' ? work.request.task.kind : work.request.kind} at ${work.request.connection.label}`;
    case 'remote':
      return work.task.description.label;
    case 'capture':
      return `capture from ${work.source.description.connection}`;
    case 'transform-changes':
      return work.name;
    case 'load-changes':
      return `load into ${work.target.description.object}`;
    default:
      return work satisfies never;
  }
}
