import { MillraceError, type Plan, type RunRecord, type StageRef, type StageState, type StoredError } from '@millrace/core/runtime';
import { cancelled } from '../worker/stops.ts';
import type { Step } from './step.ts';

/** Why a stage is not run where a state machine asks for it. */

export function anotherPlan({ run, stage, plan }: Step, here: Plan): MillraceError {
  return new MillraceError('PLAN_CHANGED', {
    message: `Stage "${stage}" of run ${run} is to be run as plan ${short(plan)} says, and the pipeline "${here.pipeline}" of this image is plan ${short(here.fingerprint)}.`,
    remedy:
      'Deploy machine and image together ("millrace deploy --apply" with the image of the same commit), and let an image be for as long as executions that began with it.',
    facts: { run, stage, wanted: plan, found: here.fingerprint },
  });
}

export function anotherRun({ id, request }: RunRecord): MillraceError {
  return new MillraceError('CONFIG_INVALID', {
    message: `There is a run ${id} already: of pipeline "${request.pipeline}", for ${request.logicalTime}.`,
    remedy: 'Start the execution under another name: a run is named after it, and kept for longer than Step Functions keeps the name.',
    facts: { run: id },
  });
}

export function recordBehind({ id, plan, stages }: RunRecord, stage: string): MillraceError {
  const missing = plan.stages
    .filter(({ id }) => id === stage)
    .flatMap(({ needs }) => needs.filter((need) => stages.get(need)?.state.at !== 'succeeded'));
  return new MillraceError('CONFIG_INVALID', {
    message: `The machine has come to "${stage}" of run ${id}, and of ${missing.map((need) => `"${need}"`).join(', ')} the state database does not know that it is done.`,
    remedy: 'Let all tasks of a pipeline have one state database: "state" of the environment, or MILLRACE_STATE_URL.',
    facts: { run: id, stage, missing },
  });
}

export function wentOnElsewhere({ run, stage }: StageRef): MillraceError {
  return new MillraceError('RUN_HELD', {
    message: `Run ${run} has gone on in another execution since the one failed that was redriven now. What that one did would be done twice.`,
    remedy: `Let the redriven execution be; see "millrace runs show ${run}".`,
    facts: { run, stage },
  });
}

export function redrivenAlone({ run, stage }: StageRef): MillraceError {
  return new MillraceError('RUN_HELD', {
    message: `A part of run ${run} was redriven by itself, and nothing would go on behind it.`,
    remedy: `Go on with the run: millrace runs retry ${run}`,
    facts: { run, stage },
  });
}

export function noStage({ run, stage }: StageRef, { pipeline, stages }: Plan): MillraceError {
  return new MillraceError('CONFIG_INVALID', {
    message: `Pipeline "${pipeline}" has no stage "${stage}".`,
    remedy: `It has ${stages.map(({ id }) => id).join(', ')}.`,
    facts: { run, stage },
  });
}

/** Why a stage that is over was not done; null where it was, or is not part of the run. */
export function whyNotDone({ id, stages }: RunRecord, stage: string, state: StageState): StoredError | null {
  switch (state.at) {
    case 'failed':
      return state.error;
    case 'cancelled':
      return cancelled(id);
    case 'skipped': {
      if (state.because.kind === 'not-selected') return null;
      const cause = stages.get(state.because.stage)?.state;
      return {
        code: cause?.at === 'failed' ? cause.error.code : 'RUN_CANCELLED',
        message: `Stage "${stage}" of run ${id} is not run: "${state.because.stage}" has not been done${cause?.at === 'failed' ? `. ${cause.error.message}` : '.'}`,
        remedy: `See "millrace runs show ${id}"; a redrive of the execution goes on with what has not succeeded.`,
        facts: { run: id, stage },
      };
    }
    default:
      return null;
  }
}

const short = (fingerprint: string): string => fingerprint.slice(0, 12);
