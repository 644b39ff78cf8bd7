import { type ExitCode, exitCodes } from './exit-code.ts';

/** Settles when a signal has asked this command to end. */
export function untilAsked(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Of a command that has ended because it was asked to. */
export const askedExitCode = (signal: AbortSignal): ExitCode =>
  signal.reason === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
