import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { templateProblem } from '@millrace/step-functions';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { Session } from '../session.ts';
import { compiledFor, filesOf, tellRemarks } from '../step-functions/compiled.ts';

/** Writes the state machine of a pipeline, its policy and its template; calls nobody. */
export async function compileTo(session: Session, wanted: string, options: { out?: string }): Promise<ExitCode> {
  const { terminal } = session;
  const compiled = await compiledFor(session, wanted);
  const directory = resolve(session.calledFrom, options.out ?? join('.millrace', 'step-functions', compiled.plan.pipeline));
  mkdirSync(directory, { recursive: true });
  const files = filesOf(compiled);
  for (const [name, text] of files) writeFileSync(join(directory, name), text);
  const { machines } = compiled;
  tellRemarks(terminal, machines);
  const tooLarge = templateProblem(compiled.template);
  if (tooLarge) terminal.say(`${terminal.err.yellow('note')} ${tooLarge.message} ${terminal.err.dim(tooLarge.remedy)}`);
  for (const name of files.keys()) terminal.print(join(directory, name));
  terminal.emit({
    pipeline: compiled.plan.pipeline,
    plan: compiled.plan.fingerprint,
    directory,
    files: [...files.keys()],
    machines: [machines.main, ...machines.others].map(({ name, weight }) => ({ name, ...weight })),
    barriers: machines.barriers,
    remarks: machines.remarks,
  });
  return exitCodes.ok;
}
