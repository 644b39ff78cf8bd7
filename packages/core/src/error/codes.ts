/**
 * Every error Millrace raises, with the manual entry beside it. `docs/errors.md` is generated from this table.
 *
 * `retry` is read by `run/retry.ts` alone:
 *   never    trying again gives the same answer: a person must act
 *   backoff  the other side is busy or away: the same attempt may work later
 *   lost     the attempt was taken away from us; another one goes on
 */
export type RetryKind = 'never' | 'backoff' | 'lost';

export interface ErrorEntry {
  readonly retry: RetryKind;
  /** The exit code of the command line for a run that ends with this error. */
  readonly exit: 1 | 2 | 5 | 69 | 75 | 124;
  /** One or two sentences for the manual: what it means and what to look at. */
  readonly manual: string;
}

const never = (exit: ErrorEntry['exit'], manual: string): ErrorEntry => ({ retry: 'never', exit, manual });
const backoff = (exit: ErrorEntry['exit'], manual: string): ErrorEntry => ({ retry: 'backoff', exit, manual });

export const codes = {
  ACCESS_DENIED: never(1, 'The database or the object store refused the operation for this user or role. The message names the object and the privilege to grant.'),
  ATTEMPT_FENCED: { retry: 'lost', exit: 75, manual: 'A newer attempt at the same stage has taken over, so this one was refused before it could change anything. Nothing to do.' },
  AUTHENTICATION_FAILED: never(2, 'User name or password were refused. Check the secret that the connection names.'),
  CACHE_LOST: backoff(69, 'A cache does not remember how far its stream or its load has come, or has lost the last of it: it was emptied, restarted without persistence, or failed over to a replica that lagged. The next attempt copies what is missing.'),
  CERTIFICATE_REFUSED: never(2, 'The server could not prove by its certificate that it is the one that the connection names: another authority has signed it, it is for another name, or it has expired. The message says which, and how the right authority is named.'),
  CHECK_FAILED: never(5, 'A data quality check with severity "fail" did not hold, so the load was not committed. The message shows the check, the count and a sample.'),
  CAPTURE_IMPOSSIBLE: never(2, 'The source is not set up so that its changes can be captured. Every problem is listed with its remedy; "millrace doctor --fix" does what is safe.'),
  CHANGE_INCOMPLETE: never(1, 'A function asked for a value that an update left as it was and that the source therefore did not send (a TOASTed column). Set REPLICA IDENTITY FULL on the table, then copy it again with "millrace resync".'),
  CHANGE_REFUSED: never(1, 'The target refused a change of the stream (a constraint, a missing row), so its transaction was not applied. The message names the table, the key and the position; mend the target, or let such changes go to the dead letters.'),
  CHECKPOINT_MOVED: never(1, 'The checkpoint at the target is past the window of this run: a later run has loaded these rows. Cancel this run; nothing is missing.'),
  CONFIG_INVALID: never(2, 'millrace.config.ts or a command-line option does not make sense. The message names it.'),
  CONNECTION_FAILED: backoff(69, 'The host could not be reached, or it closed the connection. Tried again with backoff; check host, port, security groups and TLS.'),
  CONNECTION_LIMIT: backoff(69, 'The server has no free connection. Tried again with backoff; lower the concurrency or raise max_connections.'),
  DATABASE_MISSING: never(2, 'The server has no database of this name. Check the end of the connection URL.'),
  DISPATCH_UNAVAILABLE: backoff(69, 'The queue that wakes workers (Redis, or BullMQ in Postgres) does not answer. Nothing is lost: workers find what is ready by looking every few seconds until it is back.'),
  DISK_FULL: backoff(1, 'No space is left where data is staged or stored. Free space; the attempt left nothing visible behind.'),
  EMBEDDED_POSTGRES_LOST: backoff(69, 'The embedded Postgres ended while a command used it: it was killed, or the machine ran out of memory or disk. Run the command again; what was committed is there.'),
  EMBEDDED_POSTGRES_UNAVAILABLE: never(69, 'The embedded Postgres has no binary for this platform or did not start. Set MILLRACE_STATE_URL to a Postgres database instead.'),
  FILE_CORRUPT: never(1, 'A file is cut short or is not what its name says. The message names the file; load it again at its source.'),
  FUNCTION_FAILED: never(1, 'A transform function of the pipeline threw. The message shows the step, the row and the error.'),
  IDENTIFIER_INVALID: never(2, 'A name is empty, longer than the database allows (63 bytes in Postgres), or holds a NUL byte.'),
  INTERNAL: never(1, 'An invariant of Millrace itself does not hold. Please report it with the facts shown.'),
  LEASE_LOST: { retry: 'lost', exit: 75, manual: 'This process did not renew its lease in time (paused, overloaded, or cut off from the state database) and stopped by itself. Another attempt goes on.' },
  LOAD_CONFLICT: backoff(75, 'Another load commits to the same target at this moment. Tried again with backoff.'),
  MANIFEST_MISMATCH: never(1, 'The files of a manifest are not the ones it lists (missing, other size, other row count). Somebody changed the prefix from outside.'),
  MEMORY_EXHAUSTED: never(1, 'Rows are so wide that converting them takes more memory than it may use. The message says what to raise; nothing was written.'),
  OBJECTS_REFUSED: never(1, 'Files of SQL could not be deployed without dropping something that is not theirs to drop. The message names what stands in the way; nothing was changed.'),
  PAGES_MOVED: backoff(1, 'The listing of an API changed while it was read page by page, or the API answered a page twice, so that records may be missing. Read again with backoff; nothing of it was loaded.'),
  PARTITION_CONFLICT: never(1, 'A partition cannot be made: the default partition holds rows that belong into it, or its name is taken. The message says which and how to move them.'),
  PIPELINE_INVALID: never(2, 'The pipeline does not compile. Every problem is listed with its remedy.'),
  PIPELINE_NOT_FOUND: never(2, 'No pipeline file with that name or path. "millrace plan" without arguments lists what is there.'),
  PLAN_CHANGED: never(2, 'The run was made from another version of the pipeline than the one now loaded. Check out that version to resume it, or start a new run.'),
  REDIS_UNSUITABLE: never(2, 'The Redis that was named cannot hold a queue: it is older than 6.2, evicts keys (maxmemory-policy is not noeviction), is a read-only replica, or is serverless or in cluster mode where a queue cannot be. Or it is no target: it is a replica, or evicts any key. The message says which.'),
  REMOTE_FAILED: never(1, 'Work at a service (a Glue job, an ECS task, a DMS replication) ended without success. The message says why, and where its log is.'),
  REMOTE_INTERRUPTED: backoff(1, 'Work at a service was ended from outside before it was done: no capacity, a Spot interruption, somebody stopped it. Started again.'),
  REMOTE_REFUSED: never(2, 'A service will not accept a request as it is: something it names does not exist, or a parameter is wrong. The message is what the service says.'),
  REMOTE_THROTTLED: backoff(69, 'The service asked us to slow down. Tried again with backoff.'),
  REMOTE_UNAVAILABLE: backoff(69, 'The service answered with a server error. Tried again with backoff.'),
  REPLICATION_OFF: never(2, 'The server does not send changes: wal_level is not logical, it has no room for slots at all, or it is a standby. The message says which setting; most need a restart of the server.'),
  RESYNC_REQUIRED: never(1, 'The stream cannot go on from where the target is: the slot is gone or was made anew, the source was restored or failed over, or the target was. Nothing was skipped; "millrace resync" copies the tables again.'),
  RUN_CANCELLED: never(1, 'The run was cancelled. Nothing of the cancelled stage is visible at its target.'),
  RUN_HELD: never(75, 'Another process works on this run. Watch it with "millrace runs watch", cancel it, or try again when that process has ended.'),
  RUN_NOT_FOUND: never(2, 'No run has this id. "millrace runs list" shows the runs that are stored.'),
  SCHEMA_DRIFT: never(1, 'The table is not what its table() declaration says. The message lists the columns that differ; "millrace introspect" writes the declaration anew.'),
  SCHEMA_CHANGED: never(1, 'A table of the stream was changed at the source in a way that the policy does not let through. The message says what changed and what to type.'),
  SECRET_MISSING: never(2, 'A secret that the pipeline names is in none of the places where the environment looks.'),
  SHUTDOWN: { retry: 'lost', exit: 75, manual: 'The process that ran the stage was asked to end and gave the stage back. The next "millrace run" of the pipeline goes on with it.' },
  SLOT_BUSY: backoff(75, 'Another process reads the replication slot, or there is one of this name already. Tried again with backoff: a reader that died is noticed after wal_sender_timeout.'),
  SLOT_LIMIT: backoff(69, 'All replication slots of the server are in use. Drop those that nobody reads, for each keeps the log; or raise max_replication_slots.'),
  SLOT_WAITS: backoff(75, 'A new replication slot waits for every transaction that is open at the source, and one did not end in time. Tried again with backoff; the message names the processes.'),
  SNAPSHOT_LOST: backoff(1, 'The database session that held the snapshot ended (restart, failover, timeout). The stage starts again with a new snapshot.'),
  SPOOL_FULL: backoff(1, 'Changes of transactions that are still open at the source could not be kept here: they are more than spoolBytes, or the directory for temporary files does not work. The stream goes on from where the targets are.'),
  STAGE_CRASHED: backoff(1, 'The process that ran the stage ended before the stage did: out of memory, process.exit() in a function, a crash of native code. Tried again; the message has its last words.'),
  STAGE_TIMEOUT: backoff(124, 'The stage ran longer than its timeout and was stopped. Nothing of it is visible at its target.'),
  STATE_UNAVAILABLE: backoff(69, 'The state database cannot be reached. Runs wait where they are; nothing is lost.'),
  STATE_VERSION: never(2, 'A newer version of Millrace has changed the state database in more than additions, beside which this one could have worked on. Use that version, or another database.'),
  STATEMENT_FAILED: never(1, 'The database refused a statement: a syntax error, a missing function or column, or a rule of the database. The message is what the database says.'),
  TABLE_MISSING: never(1, 'The table, view or procedure does not exist, or this user cannot see it.'),
  TARGET_NOT_EMPTY: never(2, 'A table that a stream is to fill has rows that did not come from it. Empty it if they are not needed, or let the stream go to another table or schema.'),
  TOO_MANY_BAD_ROWS: never(5, 'More rows were rejected than onBadRow allows, so the load was not committed. The rejected rows are in the quarantine.'),
  TYPE_MISMATCH: never(1, 'A value does not fit the type of its column. The message names column, row and value; see onBadRow to set such rows aside.'),
  UNSUPPORTED: never(2, 'This combination is not possible. The message says which part and what to use instead.'),
  VALUE_UNREPRESENTABLE: never(1, 'The value exists at the source and cannot be written in the target format without changing it (NaN in a decimal, infinity in a Parquet date). Choose a column type that can hold it, or cast it by name.'),
  WIRE_CORRUPT: backoff(1, 'The stream from the database or the converter ended early or does not follow its format. The part was thrown away.'),
} satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof codes;
