import { MillraceError, restoreError } from '@millrace/core/runtime';
import { reported, requestFromEnvironment, taskService, taskVariables } from '@millrace/step-functions';
import type { StepEnd } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { workOnActivity } from '../run-step/activity.ts';
import { taskEnd } from '../run-step/task-end.ts';
import { openWorkplace } from '../run-step/workplace.ts';
import type { Session } from '../session.ts';
import { askedExitCode } from '../until-asked.ts';

export interface RunStepOptions {
  readonly stage?: string;
  readonly activity?: string;
  readonly concurrency: number;
}

/** One stage for a state machine, which says by the environment which; or whatever an activity asks for. */
export async function runStep(session: Session, pipeline: string | undefined, options: RunStepOptions): Promise<ExitCode> {
  const { activity, stage, concurrency } = options;
  if (activity !== undefined) return workOnActivity(session, activity, concurrency);
  if (pipeline === undefined || stage === undefined) throw incomplete();
  const { [taskVariables.token]: token, ...env } = process.env;
  for (const name of Object.values(taskVariables)) delete process.env[name];
  const work = async (signal: AbortSignal): Promise<StepEnd> => {
    const request = requestFromEnvironment(pipeline, stage, env);
    session.terminal.say(`Run ${request.run}: stage ${stage} of ${pipeline}${request.place > 0 ? ', to help' : ''}.`);
    return (await openWorkplace(session)).run(request, signal);
  };
  if (!token) return told(session, stage, await work(session.signal));

  // A project that cannot be opened is told as well.
  const region = await session.project().then(
    ({ environment }) => environment.stepFunctions?.region,
    () => undefined,
  );
  const secrets = await session.secrets().catch(() => undefined);
  secrets?.hide(token);
  const service = session.keep(await taskService({ region }));
  let end: StepEnd | undefined;
  const answer = await reported(
    async (unwanted) => {
      end = await work(AbortSignal.any([session.signal, unwanted]));
      return taskEnd(end);
    },
    { service, token, redact: (text) => secrets?.redact(text) ?? text },
  );
  if (answer === null) session.terminal.say('Step Functions does not wait for this task any more.');
  // Whoever has been told needs no exit code.
  if (answer?.at === 'failed' && end?.at !== 'stopped')
    session.terminal.say(await session.redact(`${answer.error.code}: ${answer.error.message}`));
  session.terminal.emit({ type: 'step', stage, end: answer?.at ?? 'unwanted' });
  return session.signal.aborted ? askedExitCode(session.signal) : exitCodes.ok;
}

/** By the exit code. @throws the stage's error */
function told({ terminal, signal }: Session, stage: string, end: StepEnd): ExitCode {
  if (end.at === 'stopped') terminal.say('Asked to end: the stage is given back, and the next task goes on with it.');
  if (end.at === 'failed' || end.at === 'retry') throw restoreError(end.error);
  if (end.at === 'done') terminal.say('Done.');
  terminal.emit({ type: 'step', stage, end: end.at });
  return end.at === 'done' ? exitCodes.ok : askedExitCode(signal);
}

const incomplete = (): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: '"millrace run-step" needs a pipeline and --stage, or --activity.',
    remedy: 'It is started by the state machine that "millrace deploy" makes; workers of an activity are started with --activity <arn>.',
  });
