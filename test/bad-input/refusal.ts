import { readFileSync } from 'node:fs';
import type { Pipeline } from '@millrace/core';
import { type ErrorCode, isMillraceError, type MillraceError, storeFailure } from '@millrace/core/runtime';
import { expect } from 'vitest';
import { type RunOptions, runPipeline } from '../run-pipeline.ts';

/** What a person has done wrong, and how they are told. */
export interface BadInput {
  readonly name: string;
  readonly code: ErrorCode;
  /** What the message must name: the thing that is wrong. */
  readonly says: RegExp | string;
  /** Does it; rejects. */
  act(run: Runner): unknown;
}

/** Runs a pipeline with the secrets of the test, and keeps what it logs. */
export type Runner = (pipeline: Pipeline, options?: RunOptions) => Promise<unknown>;

/** In passwords and salts of the tests: nothing that a person or a log sees may hold it. */
export const hush = 'hush-Xq7%40-s3cr3t';
/** As it is when it is out of its URL. */
const forms = [hush, decodeURIComponent(hush)];

const manual = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

/** Holds an error to what every error promises: one code that the manual explains, what is wrong, what to do, and no secret. */
export async function expectRefusal({ code, says, act }: BadInput, secrets: Readonly<Record<string, string>> = {}): Promise<MillraceError> {
  const lines: string[] = [];
  const run: Runner = (pipeline, options) => runPipeline(pipeline, { secrets, log: (line) => lines.push(line), ...options });
  const error = await refusalOf(() => act(run));
  expect(error.code, error.message).toBe(code);
  expect(error.message).toMatch(says);
  expect(error.remedy.length, `what to do: ${error.remedy}`).toBeGreaterThan(15);
  expect(manual).toContain(`\n## ${code}\n`);
  const seen = [...traces(error), JSON.stringify(storeFailure(error)), ...lines].join('\n');
  for (const form of forms) expect(seen.includes(form), `a secret in ${seen}`).toBe(false);
  return error;
}

async function refusalOf(act: () => unknown): Promise<MillraceError> {
  try {
    await act();
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error('It was taken as if nothing were wrong.');
}

/** What `--debug` prints. */
function traces(error: unknown): string[] {
  if (!(error instanceof Error)) return error === undefined ? [] : [String(error)];
  return [error.stack ?? error.message, ...traces(error.cause)];
}
