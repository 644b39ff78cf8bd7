/** Of any test runner: `test` from vitest, from `node:test`, from bun. The suites bring their own assertions. */
export type Test = (name: string, body: () => Promise<void>) => void;
