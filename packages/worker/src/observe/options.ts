import type { Environment, LogLine } from '@millrace/core/runtime';
import type { Level } from 'pino';
import type { Secrets } from '../secrets/secrets.ts';
import type { StateAddress } from '../store/address.ts';
import type { ExpectedRun } from './alerts/alert.ts';
import type { Happening } from './happenings.ts';
import type { LineSink } from './log/logger.ts';

export interface ObserveListener {
  happened(one: Happening): void;
  logged(lines: readonly LogLine[]): void;
}

export interface ObserveOptions {
  readonly role: 'worker' | 'scheduler' | 'dev';
  /** Of the worker, as the store knows it. */
  readonly id: string;
  /** The state database; a connection or two of its own are opened to it. */
  readonly state: StateAddress;
  readonly secrets: Secrets;
  /** The fleet. Its backlog is told to CloudWatch also while it has neither work nor workers. */
  readonly queue?: string;
  /** Of the log, `info` by default. */
  readonly level?: Level;
  /** Where lines of the log and of CloudWatch's metrics go, standard output by default. */
  readonly sink?: LineSink;
  /** Hears of what this process does, when it is committed, and of what the code of its stages says: to show it to people. */
  readonly listener?: ObserveListener;
  /** `/health`, `/ready` and `/metrics`; none where left out. The host is 127.0.0.1 by default. */
  readonly http?: { readonly host?: string; readonly port: number };
  /** What must hold, beside the state store, before this process is ready: `{ dispatch: () => dispatch.connected }`. */
  readonly ready?: Readonly<Record<string, () => boolean | Promise<boolean>>>;
  /** Without a turn of the main loop (`turned`) for so long the process counts as hung. 60 s by default. */
  readonly silenceMs?: number;
  /** Whether metrics for CloudWatch are written as lines. By default in ECS. */
  readonly cloudwatch?: boolean;
  readonly alerts?: Environment['alerts'];
  /** Scheduled runs and when they should have succeeded: those of the last day or so. */
  readonly expected?: () => readonly ExpectedRun[] | Promise<readonly ExpectedRun[]>;
  /** A stage that runs for so long keeps ECS from ending the task, 30 s by default. */
  readonly longMs?: number;
  /** Pauses, for tests; what they are by default is said at `AlerterOptions`. */
  readonly alertPauses?: { readonly everyMs: number; readonly answerMs: number; readonly pauseMs: number };
  readonly env?: Readonly<Record<string, string | undefined>>;
}
