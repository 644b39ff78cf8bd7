import { followsChanges, type Plan, type PlanStage, type Problem, type StepFunctionsSettings } from '@millrace/core/runtime';
import { schedulesOf } from './template/schedule.ts';
import { isRemote } from './work/is-remote.ts';

/**
 * What Step Functions cannot do with a plan, or does otherwise than the local executor and the fleet: for `millrace plan --executor
 * step-functions`. Empty where there is nothing to say.
 */
export function capabilities(plan: Plan, settings: Pick<StepFunctionsSettings, 'work'> = {}): Problem[] {
  return [...streams(plan), ...scheduling(plan), ...atOnce(plan), ...failures(plan, settings), ...limits(plan), ...versions(settings)];
}

function streams(plan: Plan): Problem[] {
  if (!followsChanges(plan)) return [];
  return [
    {
      step: plan.stages.find(({ kind }) => kind === 'changes')?.id ?? null,
      message: 'It follows changes without end: an execution ends after 25,000 events or a year, so this pipeline does not compile.',
      remedy: 'Run it on a fleet. A DMS replication as a plain step can be a state machine.',
    },
  ];
}

function scheduling(plan: Plan): Problem[] {
  const { schedule } = plan;
  const found = schedulesOf(plan);
  const problems: Problem[] = 'because' in found ? [{ step: null, message: found.because, remedy: found.remedy }] : [];
  if (found.kind === 'objects')
    problems.push({
      step: null,
      message: 'quiet is not waited for: S3 tells of an object once it is whole, and each version of it starts a run at once.',
      remedy: 'Let the file be written under another name first and copied when it is done, if it is written several times.',
    });
  if (schedule.kind !== 'cron') return problems;
  if (found.kind === 'times') problems.push(...windows(plan));
  const { catchUp = 'latest', overlap = 'queue', within } = schedule;
  if (catchUp !== 'none')
    problems.push({
      step: null,
      message: `catchUp: "${catchUp}" is not kept: EventBridge Scheduler tries a time again for a day, and makes up for none that passed while it was off.`,
      remedy: 'Start what is missing by hand, with the time in the input: {"time": "2026-03-29T00:00:00Z"}.',
    });
  if (overlap !== 'allow')
    problems.push({
      step: null,
      message: `overlap: "${overlap}" is not kept: an execution begins at its time, whether an earlier one is done or not.`,
      remedy:
        'What our own stages load stays right, since targets fence off the older attempt; work that AWS does by itself runs twice at once. Leave enough time between two runs, or use a fleet.',
    });
  if (within !== undefined)
    problems.push({
      step: null,
      message: 'within is not kept: nobody is told of a run that is late.',
      remedy: 'Add an alarm on ExecutionTime of AWS/States to the stack.',
    });
  return problems;
}

/** Elsewhere it is the time since the one before. */
function windows({ steps }: Plan): Problem[] {
  const asking = steps.filter(({ description }) => /"(?:\$run|of)":"window\./.test(JSON.stringify(description)));
  return asking.map(({ name }) => ({
    step: name,
    message: `"${name}" asks for the window of its run, and one that EventBridge starts has none: it fails.`,
    remedy: 'Use run.date or run.logicalTime, or start the runs yourself: millrace run --window 2026-03-28..2026-03-29.',
  }));
}

function atOnce({ concurrency, priority }: Plan): Problem[] {
  const problems: Problem[] = [];
  if (concurrency !== undefined && concurrency > 1)
    problems.push({
      step: null,
      message: `concurrency: ${concurrency} is no limit here: as many executions run as are started.`,
      remedy: 'Start fewer.',
    });
  if (priority !== undefined && priority !== 'normal')
    problems.push({
      step: null,
      message: `priority: "${priority}" means nothing here: every stage has a task of its own.`,
      remedy: 'Leave it out.',
    });
  return problems;
}

function failures({ stages }: Plan, { work = 'task' }: Pick<StepFunctionsSettings, 'work'>): Problem[] {
  const problems: Problem[] = [];
  const ours = stages.filter((stage) => !isRemote(stage));
  const again = ours.filter(({ retry }) => retry.attempts > 1);
  if (work === 'task' && again.length > 0)
    problems.push({
      step: null,
      message: `Every error of ${names(again)} is tried again, also one that cannot pass: of a task, Step Functions sees only that it ended badly.`,
      remedy: "Set work: 'token' in stepFunctions: then a stage tells its error's code, and only what may pass is tried again.",
    });
  if (ours.length > 1 && ours.some(({ onFailure }) => onFailure === 'stop'))
    problems.push({
      step: null,
      message: 'A stage that fails for good stops those that run beside it at that moment; elsewhere they come to their end.',
      remedy: "Redrive the execution: what has succeeded is not done again. Or let a stage's failure not matter: onFailure: 'continue'.",
    });
  return problems;
}

function limits({ stages }: Plan): Problem[] {
  const limited = stages.filter(({ limits = [] }) => limits.length > 0);
  if (limited.length === 0) return [];
  const kept = new Set(
    limited.flatMap(({ limits = [] }) => limits.map(({ kind, name }) => (kind === 'pool' ? `pool "${name}"` : `connections to ${name}`))),
  );
  return [
    {
      step: null,
      message: `Limits are kept by tasks that wait, and work that AWS does by itself is not counted: ${[...kept].join(', ')} (${names(limited)}).`,
      remedy: 'Order such stages with "after" so that none waits, or run the pipeline on a fleet.',
    },
  ];
}

/** A function is what it is now, also for executions that began with its code of before. */
function versions({ work }: Pick<StepFunctionsSettings, 'work'>): Problem[] {
  if (typeof work !== 'object' || /^(?:arn:[^:]+:lambda:[^:]+:\d+:function:)?[^:]+:(?!\$LATEST)[^:]+$/.test(work.lambda)) return [];
  return [
    {
      step: null,
      message: 'The function is named without a version: executions that go on while its code is replaced fail with PLAN_CHANGED.',
      remedy: 'Publish a version for each deployment and name that: work: { lambda: "…:function:etl:12" }.',
    },
  ];
}

const names = (stages: readonly PlanStage[]): string => {
  const [some, more] = [stages.slice(0, 3), stages.length - 3];
  return `${some.map(({ id }) => `"${id}"`).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
};
