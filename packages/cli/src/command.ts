import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, CommanderError } from 'commander';
import { type ExitCode, exitCodeOf, exitCodes } from './exit-code.ts';
import type { Session, SessionOptions } from './session.ts';
import { openTerminal, type Terminal } from './terminal.ts';
import { failureBlock, failureJson } from './text/failure.ts';

/** Options that every verb takes. */
export interface CommonOptions extends SessionOptions {
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** One verb's work. What it throws is shown and decides the exit code. */
export type Work<Args extends readonly unknown[], Options> = (session: Session, args: Args, options: Options) => Promise<ExitCode>;

/**
 * Gives a command the common options, and its work the session, the error block and the exit code. Ctrl-C ends it there and then;
 * one that `drains` brings its work to a good end by itself.
 */
export function does<Args extends readonly unknown[], Options>(
  command: Command,
  work: Work<Args, Options>,
  how: { readonly drains?: true } = {},
): Command {
  return command
    .option('--json', 'one JSON object, or one a line where the answer is a stream')
    .option('--env <name>', 'the environment of the config (default: MILLRACE_ENV, else local)')
    .option('--config <file>', 'another millrace.config.ts than the nearest one')
    .option('--debug', 'with an error, where it came from')
    .action(async (...given: unknown[]) => {
      // Commander hands over the arguments, then the options, then the command.
      const options = given.at(-2) as CommonOptions;
      process.exitCode = await perform(
        given.slice(0, -2) as unknown as Args,
        options as CommonOptions & Options,
        work,
        how.drains === true,
      );
      // Sockets of a server that is going away, or a pipeline file's own timers, must not keep a finished command up.
      await Promise.all([drained(process.stdout), drained(process.stderr)]);
      process.exit();
    });
}

async function perform<Args extends readonly unknown[], Options>(
  args: Args,
  options: CommonOptions & Options,
  work: Work<Args, CommonOptions & Options>,
  drains: boolean,
): Promise<ExitCode> {
  const terminal = openTerminal(options.json === true);
  const stop = new AbortController();
  const onSignal = signalHandler(stop);
  // The engine and the drivers are loaded for verbs that run, not for --help.
  const { Session } = await import('./session.ts');
  const session = new Session(terminal, stop.signal, options);
  try {
    const over = [work(session, args, options), session.lost];
    return await Promise.race(drains ? over : [...over, aborted(stop.signal)]);
  } catch (error) {
    if (error instanceof CommanderError) throw error;
    if (stop.signal.aborted) return stop.signal.reason === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
    await report(error, session, terminal, options.debug === true);
    return exitCodeOf(error);
  } finally {
    await closed(session).catch((error) => report(error, session, terminal, options.debug === true));
    onSignal[Symbol.dispose]();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

/** An executor drains for ten seconds at most; one that cannot reach its state any more would wait for ever. */
const closingMs = 15_000;

function closed(session: Session): Promise<void> {
  return Promise.race([session[Symbol.asyncDispose](), sleep(closingMs, undefined, { ref: false })]);
}

/** The first signal asks every long call to stop; the second ends the process where it stands. */
function signalHandler(stop: AbortController): Disposable {
  const asked = (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) process.exit(signal === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted);
    stop.abort(signal);
  };
  process.on('SIGINT', asked).on('SIGTERM', asked);
  return {
    [Symbol.dispose]() {
      process.off('SIGINT', asked).off('SIGTERM', asked);
    },
  };
}

async function report(error: unknown, session: Session, terminal: Terminal, debug: boolean): Promise<void> {
  if (terminal.json) {
    terminal.emit(await session.redact(failureJson(error)));
    if (debug) process.stderr.write(`${await session.redact(failureBlock(error, terminal.err, { debug }))}\n`);
  } else {
    terminal.say(await session.redact(failureBlock(error, terminal.err, { debug })));
  }
}

function drained(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}
