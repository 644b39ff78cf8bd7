import type { Priority, Schedule } from '../author/index.ts';
import type { WireFormat } from '../connector/index.ts';
import type { ColumnEdge, ColumnSchema } from '../schema/index.ts';

/**
 * What a pipeline compiles to: plain JSON, complete enough to show, compare, store and execute, together with the pipeline
 * file that holds the functions. Runs are pinned to its fingerprint.
 */
export interface Plan {
  readonly version: 1;
  readonly pipeline: string;
  /** Hash of everything below: the same for the same pipeline, whoever compiles it. */
  readonly fingerprint: string;
  readonly schedule: Schedule;
  readonly params: Readonly<Record<string, string | null>>;
  /** Runs at the same time; 1 where it is left out. */
  readonly concurrency?: number;
  readonly priority?: Priority;
  /** Inputs before those who read them. */
  readonly steps: readonly PlanStep[];
  readonly stages: readonly PlanStage[];
  readonly warnings: readonly Problem[];
}

export interface PlanStep {
  readonly name: string;
  readonly kind: 'extract' | 'transform' | 'load' | 'execute' | 'remote' | 'capture';
  /** One line for people: `map`, `append to public.orders`. */
  readonly does: string;
  readonly description: Readonly<Record<string, unknown>>;
  readonly input: string | null;
  readonly after: readonly string[];
  readonly columns: readonly ColumnSchema[] | null;
  /** Columns of each table, where changes come out. */
  readonly tables: Readonly<Record<string, readonly ColumnSchema[]>> | null;
  /** For a load: how each column fares on its way into the target. */
  readonly edges: readonly ColumnEdge[];
  readonly ddl: readonly string[];
}

/** What one worker does in one go, and tries again as a whole. Named after its last step; one that follows changes after its capture. */
export interface PlanStage {
  readonly id: string;
  readonly kind: 'rows' | 'files' | 'execute' | 'remote' | 'changes';
  readonly steps: readonly string[];
  /** Stages that must have succeeded before. */
  readonly needs: readonly string[];
  readonly lane: Lane;
  /** Why this lane and no cheaper one. */
  readonly reason: string;
  /** Transform steps that the source does in its own query. */
  readonly absorbed: readonly string[];
  readonly read: WireFormat | null;
  readonly write: WireFormat | null;
  /** True where the input cannot be split. */
  readonly whole: boolean;
  readonly retry: { readonly attempts: number; readonly delayMs: number; readonly maxDelayMs: number };
  readonly timeoutMs: number | null;
  readonly onFailure: 'stop' | 'continue';
  /** What it takes a share of while it runs. */
  readonly limits?: readonly StageLimit[];
}

export interface StageLimit {
  /** Of connections to a database, by the connection's label; or of the environment's pools, by its name. */
  readonly kind: 'connections' | 'pool';
  readonly name: string;
  /** Null where the environment says it. */
  readonly most: number | null;
}

/** True for pipelines that run until somebody stops them. */
export const followsChanges = ({ stages }: Pick<Plan, 'stages'>): boolean => stages.some(({ kind }) => kind === 'changes');

/** How rows travel through a stage, cheapest first. */
export type Lane = 'server' | 'bytes' | 'duckdb' | 'columns' | 'rows';

/** Something that a person must mend (or should know), with the mend. */
export interface Problem {
  readonly step: string | null;
  readonly message: string;
  readonly remedy: string;
}
