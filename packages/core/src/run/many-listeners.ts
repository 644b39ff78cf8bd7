import { setMaxListeners } from 'node:events';

/** A signal of a stage: each of its requests and conversions listens, and a dozen at once is no leak that Node has to warn of. */
export function manyListeners(signal: AbortSignal): AbortSignal {
  setMaxListeners(0, signal);
  return signal;
}
