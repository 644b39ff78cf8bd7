import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Context, compile, type FilesRef, type Pipeline, runStage } from '@millrace/core/runtime';

let runs = 0;

/** Runs the stages of a pipeline here and now, one after the other: a load without a run. */
export async function runStages(pipeline: Pipeline, context: Context): Promise<void> {
  const files: Record<string, FilesRef> = {};
  const at = new Date(Date.now() + runs).toISOString();
  const run = { ...context.run, id: `run-${++runs}`, pipeline: pipeline.name };
  for (const stage of compile(pipeline).stages) {
    const output = await runStage(
      {
        run,
        runAt: at,
        fullRefresh: false,
        stage,
        epoch: runs,
        redone: 0,
        files,
        earlier: { plan: null, parts: [] },
        concurrency: 2,
        memoryBudget: 64 * 2 ** 20,
      },
      pipeline,
      { ...context, progress: () => {}, storePlan: async () => {}, storePart: async () => {}, forgetParts: async () => {} },
    );
    if (output.kind === 'load' && output.receipt.files) files[stage.id] = output.receipt.files;
  }
}

export function testContext(secrets: Readonly<Record<string, string>> = {}): Context {
  const now = new Date();
  return {
    run: { id: 'none', pipeline: 'none', logicalTime: now.toISOString(), date: now.toISOString().slice(0, 10), window: null, params: {} },
    signal: new AbortController().signal,
    secret: async ({ name }) => secrets[name] ?? '',
    now: () => new Date(),
    log: { info() {}, warn() {} },
    spool: mkdtempSync(join(tmpdir(), 'millrace-test-')),
    progress() {},
    memoryBudget: 64 * 2 ** 20,
  };
}
