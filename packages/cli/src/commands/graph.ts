import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { compile, type Plan, toMermaid, toSvg } from '@millrace/core/runtime';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { findPipeline } from '../project/pipelines.ts';
import type { Session } from '../session.ts';
import { schemaVersion, toJson } from '../terminal.ts';
import { warnUnlisted } from './plan.ts';

export async function graph(
  session: Session,
  wanted: string,
  options: { format: 'mermaid' | 'svg' | 'json'; out?: string },
): Promise<ExitCode> {
  const { terminal } = session;
  const loaded = await findPipeline(await session.project(), wanted, session.calledFrom);
  const plan = compile(loaded.pipeline);
  warnUnlisted(terminal, loaded);
  const text = drawn(plan, options.format);
  if (options.out !== undefined) {
    const file = resolve(session.calledFrom, options.out);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    terminal.say(`Wrote ${options.out}.`);
    terminal.emit({ pipeline: plan.pipeline, format: options.format, file });
  } else {
    terminal.print(text.trimEnd());
    terminal.emit(options.format === 'json' ? graphOf(plan) : { pipeline: plan.pipeline, format: options.format, text });
  }
  return exitCodes.ok;
}

function drawn(plan: Plan, format: 'mermaid' | 'svg' | 'json'): string {
  if (format === 'mermaid') return toMermaid(plan);
  return format === 'svg' ? toSvg(plan) : `${toJson({ schemaVersion, ...graphOf(plan) })}\n`;
}

/** Nodes and edges, for programs that draw by themselves. */
function graphOf(plan: Plan): { pipeline: string; nodes: object[]; edges: object[]; stages: object[] } {
  return {
    pipeline: plan.pipeline,
    nodes: plan.steps.map(({ name, kind, does }) => ({ name, kind, does })),
    edges: plan.steps.flatMap(({ name, input, after }) => [
      ...(input === null ? [] : [{ from: input, to: name, carries: 'data' }]),
      ...after.map((from) => ({ from, to: name, carries: 'order' })),
    ]),
    stages: plan.stages.map(({ id, steps, lane, needs }) => ({ id, steps, lane, needs })),
  };
}
