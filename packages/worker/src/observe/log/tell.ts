import type { LogLine } from '@millrace/core/runtime';
import type { Happening } from '../happenings.ts';
import type { Logger } from './logger.ts';

/** What happens to runs and stages, as lines of the log. */
export function logHappening(log: Logger, one: Happening): void {
  const { error, ...fields } = { error: null, ...one };
  const told = error === null ? fields : { ...fields, err: error };
  switch (one.type) {
    case 'run.started':
      return log.info(told, 'run started');
    case 'attempt.started':
      return log.info(told, one.recovers ? 'stage taken up again' : 'stage started');
    case 'run.ended': {
      const failed = one.result === 'failed' || one.result === 'partial';
      return log[failed ? 'error' : 'info'](told, `run ${one.result}`);
    }
    case 'attempt.ended': {
      const level = one.result === 'failed' ? 'error' : one.result === 'retrying' || one.result === 'lost' ? 'warn' : 'info';
      return log[level](told, `stage ${one.result}`);
    }
    default:
      return one satisfies never;
  }
}

/** What the code of stages says and prints. */
export function logLines(log: Logger, lines: readonly LogLine[], pipelineOf: (run: string) => string | null): void {
  for (const { level, message, facts, at, ...where } of lines) {
    const printed = level === 'stdout' || level === 'stderr';
    const fields = { ...where, pipeline: pipelineOf(where.run) ?? undefined, at, ...(printed ? { stream: level } : { facts }) };
    if (level === 'warn') log.warn(fields, message);
    else log.info(fields, message);
  }
}
