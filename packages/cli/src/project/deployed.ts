import { compile, type Problem } from '@millrace/core/runtime';
import type { Deployed } from '@millrace/worker';
import type { Logger } from '@millrace/worker/observe';
import type { Session } from '../session.ts';
import { failureBlock } from '../text/failure.ts';
import { environmentWarnings, warn } from './environment-warnings.ts';
import { listPipelines, namedTwice } from './pipelines.ts';

/** The project's pipelines, as those who work on them have them. */
export interface Deployment {
  /** By name: whatever loads and compiles. */
  readonly pipelines: ReadonlyMap<string, Deployed>;
  /** Files that do not, and why. */
  readonly leftOut: readonly { readonly file: string; readonly error: unknown }[];
  readonly warnings: readonly Problem[];
}

export async function deployment(session: Session): Promise<Deployment> {
  const pipelines = new Map<string, Deployed>();
  const leftOut: { file: string; error: unknown }[] = [];
  const warnings: Problem[] = [];
  for (const { file, loaded, error } of await listPipelines(await session.project())) {
    try {
      if (!loaded) throw error;
      const plan = compile(loaded.pipeline);
      const other = pipelines.get(plan.pipeline);
      if (other) throw namedTwice(plan.pipeline, [other.file, loaded.file]);
      pipelines.set(plan.pipeline, { file: loaded.file, plan });
      warnings.push(...(await environmentWarnings(session, plan)));
    } catch (reason) {
      leftOut.push({ file, error: reason });
    }
  }
  return { pipelines, leftOut, warnings };
}

/** To people and into the log. */
export async function tellDeployment(session: Session, { leftOut, warnings }: Deployment, log: Logger): Promise<void> {
  const { terminal } = session;
  for (const { file, error } of leftOut) {
    terminal.say(`${terminal.err.yellow('left out')} ${file}\n${await session.redact(failureBlock(error, terminal.err))}`);
    log.error({ file, err: error }, 'a pipeline file is left out');
  }
  warn(terminal, warnings);
  for (const { step, message, remedy } of warnings) log.warn({ stage: step, remedy }, message);
}
