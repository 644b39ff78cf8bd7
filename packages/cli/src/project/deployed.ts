import { compile } from '@millrace/core/runtime';
import type { Deployed } from '@millrace/worker';
import type { Session } from '../session.ts';
import { failureBlock } from '../text/failure.ts';
import { listPipelines } from './pipelines.ts';

/** The project's pipelines by name: whatever loads and compiles. A file that does not is told, and left out. */
export async function deployedPipelines(session: Session): Promise<Map<string, Deployed>> {
  const { terminal } = session;
  const deployed = new Map<string, Deployed>();
  for (const { file, loaded, error } of await listPipelines(await session.project())) {
    try {
      if (!loaded) throw error;
      const plan = compile(loaded.pipeline);
      const other = deployed.get(plan.pipeline);
      if (other) throw new Error(`${file} and ${other.file} both call their pipeline "${plan.pipeline}".`);
      deployed.set(plan.pipeline, { file: loaded.file, plan });
    } catch (reason) {
      terminal.say(`${terminal.err.yellow('left out')} ${file}\n${await session.redact(failureBlock(reason, terminal.err))}`);
    }
  }
  return deployed;
}
