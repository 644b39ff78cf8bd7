import { MillraceError } from '@millrace/core/runtime';

export interface TaskSettingOptions {
  /** Kilobytes at which DMS cuts a large value: 1,024 by default, at most 102,400. The reader refuses a value that was cut. */
  readonly lobKilobytes?: number;
  /** Tables that are loaded at once: 8 by default, at most 49. */
  readonly tablesAtOnce?: number;
  /** The task stops by itself when the full load and what changed meanwhile are written: for pipelines that run and end. */
  readonly stopAfterLoad?: boolean;
}

export const defaultLobKilobytes = 1_024;

/**
 * `ReplicationTaskSettings`. Where DMS would go on with a row or a table missing, these let it stop: `ABORT`-like policies are `STOP_TASK`,
 * and what is retried is retried without end, since the log waits.
 */
export function taskSettings(options: TaskSettingOptions = {}): Readonly<Record<string, unknown>> {
  const { lobKilobytes = defaultLobKilobytes, tablesAtOnce = 8, stopAfterLoad = false } = options;
  const whole = (name: string, value: number, most: number): void => {
    if (Number.isInteger(value) && value >= 1 && value <= most) return;
    throw new MillraceError('PIPELINE_INVALID', {
      message: `dms(): ${name} is ${value}.`,
      remedy: `Give a whole number from 1 to ${most}.`,
    });
  };
  whole('lobKilobytes', lobKilobytes, 102_400);
  whole('tablesAtOnce', tablesAtOnce, 49);
  return {
    TargetMetadata: {
      SupportLobs: true,
      FullLobMode: false,
      LimitedSizeLobMode: true,
      LobMaxSize: lobKilobytes,
      // Batches on S3 lose data.
      BatchApplyEnabled: false,
      ParallelLoadThreads: 0,
    },
    FullLoadSettings: {
      // Files of an earlier load must not be taken for those of this one.
      TargetTablePrepMode: 'DROP_AND_CREATE',
      StopTaskCachedChangesApplied: stopAfterLoad,
      StopTaskCachedChangesNotApplied: false,
      MaxFullLoadSubTasks: tablesAtOnce,
      TransactionConsistencyTimeout: 600,
      CommitRate: 10_000,
    },
    ChangeProcessingDdlHandlingPolicy: {
      HandleSourceTableDropped: false,
      HandleSourceTableTruncated: false,
      HandleSourceTableAltered: true,
    },
    ErrorBehavior: {
      DataErrorPolicy: 'STOP_TASK',
      DataTruncationErrorPolicy: 'STOP_TASK',
      DataErrorEscalationPolicy: 'STOP_TASK',
      TableErrorPolicy: 'STOP_TASK',
      TableErrorEscalationPolicy: 'STOP_TASK',
      RecoverableErrorCount: -1,
      RecoverableErrorInterval: 5,
      RecoverableErrorThrottling: true,
      RecoverableErrorThrottlingMax: 1_800,
      ApplyErrorDeletePolicy: 'STOP_TASK',
      ApplyErrorInsertPolicy: 'STOP_TASK',
      ApplyErrorUpdatePolicy: 'STOP_TASK',
      FailOnNoTablesCaptured: true,
      FailOnTransactionConsistencyBreached: true,
      FullLoadIgnoreConflicts: false,
    },
    Logging: { EnableLogging: true },
    ValidationSettings: { EnableValidation: false },
  };
}

/** Settings that must be as they are wanted, each with what it is instead. `found` is the task's own JSON, which has many more. */
export function settingProblems(wanted: Readonly<Record<string, unknown>>, found: string): string[] {
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(found) as Record<string, unknown>;
  } catch {
    return ['its settings are no JSON'];
  }
  return mattering.flatMap(([group, name]) => {
    const want = (wanted[group] as Record<string, unknown>)[name];
    const is = (parsed[group] as Record<string, unknown> | undefined)?.[name];
    return is === undefined || String(is) === String(want) ? [] : [`${group}.${name} is ${String(is)} and should be ${String(want)}`];
  });
}

/** What the reader relies on. Everything else is the user's to tune. */
const mattering: readonly (readonly [group: string, name: string])[] = [
  ['TargetMetadata', 'BatchApplyEnabled'],
  // Without it large values are left out.
  ['TargetMetadata', 'SupportLobs'],
  ['TargetMetadata', 'FullLobMode'],
  ['TargetMetadata', 'LobMaxSize'],
  ['FullLoadSettings', 'StopTaskCachedChangesNotApplied'],
  // A table that is truncated or dropped at the source would lose its files, read or not.
  ['ChangeProcessingDdlHandlingPolicy', 'HandleSourceTableDropped'],
  ['ChangeProcessingDdlHandlingPolicy', 'HandleSourceTableTruncated'],
  ['ErrorBehavior', 'DataErrorPolicy'],
  ['ErrorBehavior', 'DataTruncationErrorPolicy'],
  ['ErrorBehavior', 'TableErrorPolicy'],
];
