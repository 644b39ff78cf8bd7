export {
  beforeKinds,
  type CaptureDescription,
  type CapturedTable,
  type CaptureEngine,
  type CaptureSource,
  type ChangeGroup,
  type ChangeKind,
  type ChangePart,
  type ChangeSink,
  type ChangeSource,
  type ChangeTarget,
  type ChangeTargetDescription,
  type ColumnChange,
  changeKinds,
  type ReadChanges,
  type SchemaChange,
  type SchemaPolicy,
  type SinkState,
  type SinkStream,
  type SourceTransaction,
  type StreamHealth,
  type StreamIdentity,
  type StreamName,
  type StreamStatus,
  type StreamTable,
  type StreamTables,
  type TableChanges,
  type TableCopy,
  type TableSnapshot,
  type TableTruncate,
} from './change.ts';
export type {
  CaptureConnection,
  Connection,
  DatabaseConnection,
  Finding,
  IntrospectableConnection,
  SqlConnection,
  TableConnection,
} from './connection.ts';
export type { Context, Log, RunFacts } from './context.ts';
export type {
  DatabaseTask,
  ObjectsTask,
  PartitionPeriod,
  PartitionsTask,
  RefreshTask,
  SqlFile,
  TaskRequest,
  TaskRunner,
} from './database-task.ts';
export { failpoint } from './failpoint.ts';
export { earliest, type Position, positionOf } from './position.ts';
export { type Comparison, type Condition, type Mask, ofColumn, outputColumns, type RelationalOp, type Scalar } from './relational.ts';
export type { Json, RemoteDescription, RemoteHandle, RemoteRequest, RemoteState, RemoteTask } from './remote.ts';
export { describeSetting, type SecretRef, type Setting, secret, withoutPassword } from './secret.ts';
export type {
  Checkpoint,
  Fence,
  FilesRef,
  LoadMode,
  LoadOwner,
  LoadSession,
  LoadSpec,
  Receipt,
  Sink,
  StagedPart,
  Target,
  TargetDescription,
  TargetProblem,
} from './sink.ts';
export type { ReadPlan, ReadRequest, RowSource, Selection, SelectionDescription, Split, Window } from './source.ts';
export type { SqlRequest, SqlResult, SqlRunner, SqlStatement } from './sql.ts';
export type { CheckResult, RejectedRow, SplitTransform, Transform, TransformContext, TransformRun } from './transform.ts';
export type { BatchesChannel, BytesChannel, Channel, ReadCount, WireFormat } from './wire.ts';
