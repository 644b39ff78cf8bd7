import { type Difference, differences, stackName, templateProblem } from '@millrace/step-functions';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import type { Session } from '../session.ts';
import { compiledFor, tellRemarks } from '../step-functions/compiled.ts';
import { openStack } from '../step-functions/stack.ts';
import type { Terminal } from '../terminal.ts';
import { counted } from '../text/amount.ts';

/** Says what deploying a pipeline to Step Functions would change; with `apply`, does it. */
export async function deploy(session: Session, wanted: string, options: { apply?: true }): Promise<ExitCode> {
  const { terminal } = session;
  const { plan, settings, machines, template } = await compiledFor(session, wanted);
  tellRemarks(terminal, machines);
  const tooLarge = templateProblem(template);
  if (tooLarge) throw tooLarge;
  const stack = await openStack(stackName(plan.pipeline), settings, session.signal);
  const changes = differences(await stack.deployed(), template);
  show(terminal, stack.name, changes);
  const done = options.apply === true && changes.length > 0;
  if (done) {
    await stack.apply(template, (line) => terminal.say(line));
    terminal.say(`${terminal.err.green('deployed')} ${stack.name}`);
  }
  terminal.emit({ pipeline: plan.pipeline, plan: plan.fingerprint, stack: stack.name, changes, applied: done, remarks: machines.remarks });
  return changes.length === 0 || done ? exitCodes.ok : exitCodes.planChanged;
}

function show(terminal: Terminal, stack: string, changes: readonly Difference[]): void {
  if (changes.length === 0) return terminal.print(`${stack}: no changes`);
  const paint = { '+': terminal.out.green, '-': terminal.out.red, '~': terminal.out.yellow };
  terminal.print(`${terminal.out.bold(stack)}: ${counted(changes.length, 'change')}`);
  for (const { sign, what, details } of changes) {
    terminal.print(`${paint[sign](sign)} ${what}`);
    for (const detail of details) terminal.print(terminal.out.dim(`    ${detail}`));
  }
}
