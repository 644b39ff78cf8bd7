import fc from 'fast-check';

/**
 * The example that a property was found wrong with is told before its test runs out of time: without a limit, the search for a smaller
 * one goes on until then, and all that is told is that it took long.
 */
fc.configureGlobal({ interruptAfterTimeLimit: 90_000 });
