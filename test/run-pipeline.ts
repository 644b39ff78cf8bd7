import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Pipeline } from '@millrace/core';
import { compile, type FilesRef, MillraceError, type Plan, runStage, type StageOutput } from '@millrace/core/runtime';

export interface PipelineRun {
  readonly plan: Plan;
  /** What each stage did, by its name. */
  readonly outputs: Readonly<Record<string, StageOutput>>;
}

let runs = 0;

/** Runs the stages of a pipeline one after the other in this process, without a state store: what connectors do, alone. */
export interface RunOptions {
  readonly secrets?: Readonly<Record<string, string>>;
  readonly id?: string;
  /** Given what the stages log, with its facts as JSON. */
  readonly log?: (line: string) => void;
  /** Where temporary files go, if not into the system's folder for them. */
  readonly spool?: string;
}

export async function runPipeline(pipeline: Pipeline, options: RunOptions = {}): Promise<PipelineRun> {
  const plan = compile(pipeline);
  const id = options.id ?? `test-${process.pid}-${++runs}`;
  const spool = await mkdtemp(path.join(options.spool ?? tmpdir(), 'millrace-run-'));
  const outputs: Record<string, StageOutput> = {};
  const files: Record<string, FilesRef> = {};
  const now = new Date().toISOString();
  const log = (message: string, facts: unknown = {}): void => options.log?.(`${message} ${JSON.stringify(facts)}`);
  try {
    for (const stage of plan.stages) {
      const output = await runStage(
        {
          run: { id, pipeline: pipeline.name, logicalTime: now, date: now.slice(0, 10), window: null, params: {} },
          runAt: now,
          fullRefresh: false,
          stage,
          epoch: 1,
          redone: 0,
          files,
          earlier: { plan: null, parts: [] },
          concurrency: 2,
          memoryBudget: 256 * 1024 * 1024,
        },
        pipeline,
        {
          signal: new AbortController().signal,
          secret: async ({ name }) => options.secrets?.[name] ?? missing(name),
          now: () => new Date(),
          spool,
          log: { info: log, warn: log },
          progress: () => {},
          storePlan: async () => {},
          storePart: async () => {},
          forgetParts: async () => {},
        },
      );
      outputs[stage.id] = output;
      if (output.kind === 'load' && output.receipt.files) files[stage.id] = output.receipt.files;
    }
    return { plan, outputs };
  } finally {
    await rm(spool, { recursive: true, force: true });
  }
}

function missing(name: string): never {
  throw new MillraceError('SECRET_MISSING', { message: `The test gives no secret "${name}".`, remedy: 'Pass it to runPipeline.' });
}
