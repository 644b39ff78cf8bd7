import fc from 'fast-check';

fc.configureGlobal({
  // A change is not blamed for an example that nobody had tried before: others are tried by `MILLRACE_SEED=7 npm test`.
  seed: Number(process.env['MILLRACE_SEED'] ?? 1),
  // The example that a property was found wrong with is told before its test runs out of time: without a limit, the search for a smaller
  // one goes on until then, and all that is told is that it took long.
  interruptAfterTimeLimit: 90_000,
});
