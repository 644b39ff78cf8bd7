import type { RunRecord } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestProject, testProject } from '../../test/project.ts';
import type { LocalExecutor } from './options.ts';

let project: TestProject;
let executor: LocalExecutor;

beforeAll(async () => {
  project = await testProject();
  executor = await project.executor();
});
afterAll(() => project[Symbol.asyncDispose]());

/** The state in a word, with what went wrong. */
const outcome = ({ state }: RunRecord): string => ('error' in state ? `${state.at} ${state.error.code}: ${state.error.message}` : state.at);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('a run', () => {
  it('goes through its stages in processes of their own and ends well', async () => {
    const file = project.pipeline(
      'plain',
      `const rows = extract(numbersOf(3));
       const loaded = load(rows, ledgerTarget('plain'));
       const called = ledgerCall('refresh', [loaded]);
       export default pipeline({ name: 'plain', steps: { rows, loaded, called } });`,
    );
    const { run } = await executor.start({ file });
    const ended = await executor.finished(run.id);
    expect(outcome(ended)).toBe('succeeded');
    expect(await project.rows('plain')).toEqual(numbers(30));
    expect(await project.calls()).toEqual(['refresh']);
  });
});
