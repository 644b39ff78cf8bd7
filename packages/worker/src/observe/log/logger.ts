import { type Level, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Redactor } from '../../secrets/redact.ts';
import { plain } from './plain.ts';

export type { Logger } from 'pino';

/** Where lines go: standard output in a worker. */
export interface LineSink {
  write(line: string): unknown;
}

export interface LoggerOptions {
  readonly redactor: Redactor;
  /** Fields of every line: role, worker, task. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** `info` by default. */
  readonly level?: Level;
  readonly sink?: LineSink;
}

/**
 * Logs as JSON lines. Secrets are taken out of the finished line, value by value: out of messages, nested fields, error causes and
 * the fields of child loggers alike, also those that became known after the child was made.
 */
export function logger({ redactor, fields, level = 'info', sink = standardOutput() }: LoggerOptions): Logger {
  return pino(
    {
      level,
      base: fields,
      timestamp: stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (object) => plain(object) as Record<string, unknown>,
      },
      // Errors are made plain with all other fields.
      serializers: { err: (error: unknown) => error },
    },
    { write: (line: string) => sink.write(`${redactedLine(line, redactor)}\n`) },
  );
}

function redactedLine(line: string, redactor: Redactor): string {
  try {
    return JSON.stringify(redactor.redactAll(JSON.parse(line)));
  } catch {
    return JSON.stringify({ level: 'error', msg: 'A line of the log could not be read, so it is not shown.' });
  }
}

/** Nobody reads any more: the worker goes on. */
let guarded = false;
export function standardOutput(): LineSink {
  if (!guarded) process.stdout.on('error', () => {});
  guarded = true;
  return process.stdout;
}
