import type { AlertKind } from '@millrace/core/runtime';

/** What a target is told. */
export interface AlertBody {
  /** One line: `nightly-orders failed`. */
  readonly title: string;
  /** What happened, and what to do. */
  readonly text: string;
  readonly code: string | null;
  /** The time the run is for; null where it is about no run. */
  readonly logicalTime: string | null;
}

export interface Alert extends AlertBody {
  /** The same whenever and by whomever it is sent: by it a receiver tells a second delivery. */
  readonly id: string;
  readonly kind: AlertKind;
  readonly pipeline: string;
  readonly run: string | null;
  /** When it happened. */
  readonly since: string;
}

/** A run that somebody expects: late unless a run of the pipeline for this logical time has succeeded by the deadline. Times are ISO 8601. */
export interface ExpectedRun {
  readonly pipeline: string;
  readonly logicalTime: string;
  readonly deadline: string;
}

export interface Ended {
  readonly run: string;
  readonly pipeline: string;
  readonly logicalTime: string;
  readonly result: 'failed' | 'partial';
  readonly error: { readonly code: string; readonly message: string; readonly remedy: string };
}

export function failure({ run, pipeline, logicalTime, result, error }: Ended): AlertBody {
  return {
    title: result === 'failed' ? `${pipeline} failed` : `${pipeline} succeeded in part`,
    text: `${error.message}\n${error.remedy}\n"millrace runs show ${run}" shows the run.`,
    code: error.code,
    logicalTime,
  };
}

export function lateness({ pipeline, logicalTime, deadline }: ExpectedRun, run: { id: string; at: string } | null): AlertBody {
  const state = run === null ? 'No run was made for it.' : `Its run ${run.id} is ${run.at}: "millrace runs show ${run.id}" says why.`;
  return {
    title: `${pipeline} is late`,
    text: `The run for ${logicalTime} should have succeeded by ${deadline}. ${state}`,
    code: null,
    logicalTime,
  };
}

export function recovery({ run, pipeline, logicalTime }: Pick<Ended, 'run' | 'pipeline' | 'logicalTime'>, trouble: Date): AlertBody {
  return {
    title: `${pipeline} works again`,
    text: `Run ${run} succeeded. The pipeline had been in trouble since ${trouble.toISOString()}.`,
    code: null,
    logicalTime,
  };
}
