import { CommanderError } from 'commander';
import { exitCodes } from './exit-code.ts';
import { program } from './program.ts';
import { forgiveClosedPipes } from './terminal.ts';

// As in the processes that run stages: pg asks for it.
if (!('navigator' in globalThis)) Object.assign(globalThis, { navigator: { userAgent: 'Node.js/20' } });
forgiveClosedPipes();
try {
  await program().parseAsync();
} catch (error) {
  // Commander has said what it wanted to say.
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
}
