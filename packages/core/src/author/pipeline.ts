import { MillraceError } from '../error/index.ts';
import { manual, type Schedule } from './schedule.ts';
import type { Step } from './step.ts';

/** A pipeline: its steps by name, and when it runs. The default export of a pipeline file. */
export interface Pipeline<Steps extends Readonly<Record<string, Step>> = Readonly<Record<string, Step>>> {
  readonly kind: 'pipeline';
  readonly name: string;
  readonly runs: Schedule;
  readonly steps: Steps;
  /** Parameters with their defaults; null where `--param` must give one. */
  readonly params: Readonly<Record<string, string | null>>;
  readonly concurrency?: number;
  readonly priority?: Priority;
}

/** Whose stages a fleet takes first, where there is more to do than places. */
export type Priority = 'high' | 'normal' | 'low';

const priorities: readonly unknown[] = ['high', 'normal', 'low'] satisfies readonly Priority[];

export interface PipelineOptions<Steps extends Readonly<Record<string, Step>>> {
  /** Lower-case letters, digits, `-` and `_`: it names runs, checkpoints and files. */
  readonly name: string;
  /** `manual` where it is left out. */
  readonly runs?: Schedule;
  readonly steps: Steps;
  readonly params?: Readonly<Record<string, string | null>>;
  /** Runs at the same time, 1 by default. With more, its loads must not mind in which order they are committed: `append` by run or window. */
  readonly concurrency?: number;
  /** `normal` by default. */
  readonly priority?: Priority;
}

/** @throws PIPELINE_INVALID for a name that cannot stand in a file name or a URL, and for a concurrency or a priority that is none */
export function pipeline<const Steps extends Readonly<Record<string, Step>>>(options: PipelineOptions<Steps>): Pipeline<Steps> {
  if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(options.name)) {
    throw new MillraceError('PIPELINE_INVALID', {
      message: `The pipeline name ${JSON.stringify(options.name)} is not usable.`,
      remedy: 'Use 1 to 63 lower-case letters, digits, "-" and "_", beginning with a letter or a digit.',
    });
  }
  const { concurrency, priority } = options;
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency > 0)) {
    throw new MillraceError('PIPELINE_INVALID', {
      message: `The concurrency ${JSON.stringify(concurrency)} of pipeline "${options.name}" is not a number of runs.`,
      remedy: 'Write a whole number from 1 on, or leave it out.',
    });
  }
  if (priority !== undefined && !priorities.includes(priority)) {
    throw new MillraceError('PIPELINE_INVALID', {
      message: `The priority ${JSON.stringify(priority)} of pipeline "${options.name}" is not known.`,
      remedy: "Write 'high', 'normal' or 'low', or leave it out.",
    });
  }
  return Object.freeze({
    kind: 'pipeline',
    name: options.name,
    runs: options.runs ?? manual,
    steps: Object.freeze({ ...options.steps }),
    params: Object.freeze({ ...options.params }),
    ...(concurrency !== undefined && { concurrency }),
    ...(priority !== undefined && { priority }),
  });
}
