import { codes, type ErrorCode, type ErrorEntry } from './codes.ts';

/** What a person reads first: what happened, why, and the next thing to do. Facts are for machines: they never hold a secret. */
export interface ErrorText {
  readonly message: string;
  readonly remedy: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

const brand = Symbol.for('millrace.error');

/** The one error class. Its code names an entry of `codes.ts`, which is also the manual. */
export class MillraceError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly [brand] = true;

  constructor(code: ErrorCode, text: ErrorText) {
    super(text.message, text.cause === undefined ? undefined : { cause: text.cause });
    this.name = 'MillraceError';
    this.code = code;
    this.remedy = text.remedy;
    this.facts = text.facts ?? {};
  }

  get entry(): ErrorEntry {
    return codes[this.code];
  }
}

/** True also for an error made by another copy of this package (two versions in one process). */
export function isMillraceError(error: unknown): error is MillraceError {
  return typeof error === 'object' && error !== null && brand in error;
}

/** The shape in which an error crosses a process, a thread or the state store. */
export interface StoredError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

export function storeError(error: unknown): StoredError {
  if (isMillraceError(error)) return { code: error.code, message: error.message, remedy: error.remedy, facts: error.facts };
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'INTERNAL', message, remedy: 'This error has no entry in the manual: please report it.', facts: {} };
}

export function restoreError(stored: StoredError): MillraceError {
  return new MillraceError(stored.code, { message: stored.message, remedy: stored.remedy, facts: stored.facts });
}
