import { expect, test } from 'vitest';
import { MillraceError } from '../error/index.ts';
import { type PipelineOptions, pipeline } from './pipeline.ts';

const made = (options: object) => pipeline({ name: 'nightly', steps: {}, ...options } as PipelineOptions<Record<string, never>>);

test.each(['high', 'normal', 'low', undefined])('the priority %j is one', (priority) => {
  expect(made({ priority }).priority).toBe(priority);
});

test.each<[what: string, options: object, message: string]>([
  ['a priority that is none', { priority: 'urgent' }, 'The priority "urgent" of pipeline "nightly" is not known.'],
  ['a priority that is a number', { priority: 1 }, 'The priority 1 of pipeline "nightly" is not known.'],
  ['a priority that is null', { priority: null }, 'The priority null of pipeline "nightly" is not known.'],
  ['a concurrency of nothing', { concurrency: 0 }, 'The concurrency 0 of pipeline "nightly" is not a number of runs.'],
  ['a name for nobody', { name: 'Nightly!' }, 'The pipeline name "Nightly!" is not usable.'],
])('%s is refused, also where no type checker has said so', (_, options, message) => {
  const refused = (() => {
    try {
      return made(options);
    } catch (error) {
      return error;
    }
  })();
  expect(refused).toBeInstanceOf(MillraceError);
  expect(refused).toMatchObject({ code: 'PIPELINE_INVALID', message, remedy: expect.any(String) });
});
