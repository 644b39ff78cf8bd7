import { type Environment, MillraceError } from '@millrace/core/runtime';
import type { Deployed } from '../scheduler/launch.ts';
import type { Catalog } from '../worker/catalog.ts';

/** The pipelines of a project, each in one version: other versions are left to the workers that have them. @throws PIPELINE_INVALID */
export function catalogOf(
  pipelines: readonly Deployed[],
  { directory, sources }: { readonly directory: string; readonly sources: NonNullable<Environment['secrets']> },
): Catalog {
  const files = new Map<string, string>();
  const names = new Map<string, string>();
  for (const { file, plan } of pipelines) {
    const other = names.get(plan.pipeline);
    if (other !== undefined) throw namedTwice(plan.pipeline, [other, file]);
    names.set(plan.pipeline, file);
    files.set(plan.fingerprint, file);
  }
  return {
    plans: [...files.keys()],
    specOf({ plan }) {
      const file = files.get(plan.fingerprint);
      return file === undefined ? null : { file, directory, sources };
    },
  };
}

const namedTwice = (name: string, files: readonly string[]): MillraceError =>
  new MillraceError('PIPELINE_INVALID', {
    message: `${files.join(' and ')} both call their pipeline "${name}".`,
    remedy: 'Rename one of them: runs and checkpoints are kept under the name.',
    facts: { pipeline: name, files },
  });
