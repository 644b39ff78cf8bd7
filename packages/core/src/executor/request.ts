import { timeZoneOf } from '../author/index.ts';
import { MillraceError } from '../error/index.ts';
import type { Plan } from '../plan/index.ts';
import type { RunRequest, RunStore, StageOutput } from '../state/index.ts';
import { downstream } from './downstream.ts';
import type { StartRequest } from './executor.ts';

/** What a run is asked to do, with every default filled in. @throws CONFIG_INVALID */
export async function runRequest(request: StartRequest, plan: Plan, store: RunStore, now: Date): Promise<RunRequest> {
  const logicalTime = isoTime(request.logicalTime ?? now.toISOString(), 'The logical time');
  return {
    pipeline: plan.pipeline,
    logicalTime,
    date: dayIn(timeZoneOf(plan.schedule), logicalTime),
    window: request.window
      ? { start: isoTime(request.window.start, "The window's start"), end: isoTime(request.window.end, "The window's end") }
      : null,
    params: paramsOf(plan, request.params ?? {}),
    fullRefresh: request.fullRefresh ?? false,
    ...(request.until && { until: request.until }),
    omitted: await omittedStages(request, plan, store),
    file: request.file,
    idempotencyKey: request.idempotencyKey ?? null,
  };
}

function isoTime(text: string, what: string): string {
  const at = new Date(text);
  if (!Number.isNaN(at.getTime())) return at.toISOString();
  throw new MillraceError('CONFIG_INVALID', {
    message: `${what} "${text}" is not a time.`,
    remedy: 'Write it as ISO 8601: 2026-03-29 or 2026-03-29T02:00:00Z.',
  });
}

/** `2026-03-29`: sv-SE writes dates as ISO does. */
function dayIn(timeZone: string, time: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(new Date(time));
}

function paramsOf({ pipeline, params }: Plan, given: Readonly<Record<string, string>>): Record<string, string> {
  const known = Object.keys(params);
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(params, name)) continue;
    throw new MillraceError('CONFIG_INVALID', {
      message: `Pipeline "${pipeline}" has no parameter "${name}".`,
      remedy: known.length === 0 ? 'Declare it in pipeline({ params }), or leave it out.' : `It has ${known.join(', ')}.`,
    });
  }
  const values = Object.entries({ ...params, ...given });
  for (const [name, value] of values) {
    if (value !== null) continue;
    throw new MillraceError('CONFIG_INVALID', {
      message: `Pipeline "${pipeline}" needs the parameter "${name}".`,
      remedy: `Give it: --param ${name}=…`,
    });
  }
  return Object.fromEntries(values) as Record<string, string>;
}

/** Stages that `only` and `from` leave out, each with what it did last: somebody may want to read its files. */
async function omittedStages({ only, from }: StartRequest, plan: Plan, store: RunStore): Promise<Record<string, StageOutput | null>> {
  const behind = from === undefined ? undefined : downstream(plan, stagesWith(plan, from));
  const named = only === undefined || only.length === 0 ? undefined : new Set(only.flatMap((step) => stagesWith(plan, step)));
  const omitted: Record<string, StageOutput | null> = {};
  for (const { id } of plan.stages) {
    if ((behind?.has(id) ?? true) && (named?.has(id) ?? true)) continue;
    omitted[id] = await store.lastOutput(plan.pipeline, id);
  }
  return omitted;
}

/** The stages that a step is part of. @throws CONFIG_INVALID */
export function stagesWith(plan: Plan, step: string): string[] {
  const stages = plan.stages.filter(({ steps }) => steps.includes(step)).map(({ id }) => id);
  if (stages.length > 0) return stages;
  throw new MillraceError('CONFIG_INVALID', {
    message: `Pipeline "${plan.pipeline}" has no step "${step}" that runs.`,
    remedy: `Name one of ${[...new Set(plan.stages.flatMap(({ steps }) => steps))].join(', ')}.`,
  });
}
