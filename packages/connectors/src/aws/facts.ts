/**
 * What `RemoteDescription.facts` says, service by service, beyond `service` and `action`: all that a compiler of state machines needs to know
 * of the work without knowing how this package does it. `parameters` of a step are what a state machine writes as `Parameters` (PascalCase
 * throughout, also where the API itself is camelCase), except where `native` is false.
 *
 * What a task adds by itself when it starts is not in `parameters`: the token (`ClientToken`, `StartedBy`, `MessageDeduplicationId`,
 * `--millrace-request` among a Glue job's `Arguments`).
 */
export interface NativeFact {
  /** True where one call with `parameters`, watched to its end, does all of the work, so that a state machine can do it without a worker. */
  readonly native: boolean;
}

/** `glue:startJobRun.sync`. */
export type GlueFacts = NativeFact;

/** `lambda:invoke`. `Payload` is JSON here, not bytes. Items in batches are not native: what failed is sent again alone. */
export interface LambdaFacts extends NativeFact {
  readonly invocation: 'RequestResponse' | 'Event';
  /** Items of one call, where the work is items in batches. */
  readonly batch: number | null;
}

/** `ecs:runTask.sync`. */
export interface EcsFacts extends NativeFact {
  /** Whose exit code is the task's; null where the container that ended with the task decides. */
  readonly container: string | null;
}

/**
 * `aws-sdk:redshiftdata:executeStatement` or `batchExecuteStatement`, then `describeStatement` until FINISHED, FAILED or ABORTED; `cancelStatement`.
 * A statement must not run twice, and its token is forgotten after some hours: whoever starts it needs a record of that.
 */
export interface RedshiftDataFacts extends NativeFact {
  /** Of `parameters.Sqls`, or 1. */
  readonly statements: number;
}

/** `aws-sdk:rdsdata:executeStatement`: native where it is one statement without a ledger row. */
export interface RdsDataFacts extends NativeFact {
  readonly statements: number;
  readonly transaction: boolean;
}

/** `events:putEvents`. `Detail` is JSON here, not text. Native up to ten entries. */
export interface EventsFacts extends NativeFact {
  readonly entries: number;
}

/** `sns:publish`. `Message` is text or JSON. */
export interface SnsFacts extends NativeFact {
  readonly fifo: boolean;
}

/**
 * `aws-sdk:databasemigration:startReplicationTask` or `startReplication`. The call's `StartReplicationTaskType` (`StartReplicationType`) is not
 * in `parameters`: it follows from what `describeReplicationTasks` (`describeReplications`) says before, by `startOf` in `dms/life.ts`; and a
 * stop is a success or not by its reason.
 */
export interface DmsFacts extends NativeFact {
  readonly serverless: boolean;
  /** What counts as the end: the replication has stopped well, or its full load is done and it goes on. */
  readonly until: 'stopped' | 'loaded';
  /** Reasons of stops, without "Stop Reason": at its end, and after which it starts again by itself. All others are failures. */
  readonly stops: { readonly good: readonly string[]; readonly passing: readonly string[] };
  readonly reload: boolean;
}
