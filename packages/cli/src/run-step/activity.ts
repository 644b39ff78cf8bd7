import { setTimeout as sleep } from 'node:timers/promises';
import { codes, isMillraceError, MillraceError, storeError } from '@millrace/core/runtime';
import { type ActivityTask, reported, requestFromJson, type TaskService, taskService } from '@millrace/step-functions';
import type { ExitCode } from '../exit-code.ts';
import type { Session } from '../session.ts';
import { counted } from '../text/amount.ts';
import { askedExitCode } from '../until-asked.ts';
import { sideBySide } from './side-by-side.ts';
import { taskEnd } from './task-end.ts';
import { openWorkplace, type Workplace } from './workplace.ts';

/** How long a question that is open when we are asked to end may bring a task still, in milliseconds: one that nobody answers costs five minutes. */
const lastAnswersMs = 20_000;
const longestPauseMs = 30_000;

/** Asks an activity for stages, until a signal comes; then what runs is given back. */
export async function workOnActivity(session: Session, activity: string, places: number): Promise<ExitCode> {
  const { terminal, signal } = session;
  const workplace = await openWorkplace(session, { places });
  const service = session.keep(await taskService({ region: regionOf(activity) }));
  terminal.say(`Works on ${activity}, ${counted(places, 'stage')} at a time. (Ctrl-C drains it.)`);
  terminal.emit({ type: 'working', activity, worker: workplace.id });
  await sideBySide(places, signal, (end) => workOn({ session, activity, workplace, service, signal: end }));
  terminal.emit({ type: 'drained', activity });
  return askedExitCode(signal);
}

interface Place {
  readonly session: Session;
  readonly activity: string;
  readonly workplace: Workplace;
  readonly service: TaskService;
  /** Asks it to end. */
  readonly signal: AbortSignal;
}

async function workOn(place: Place): Promise<void> {
  const { session, activity, workplace, service, signal } = place;
  const patience = new AbortController();
  signal.addEventListener('abort', () => setTimeout(() => patience.abort(), lastAnswersMs).unref(), { once: true });
  for (let pause = 1_000; !signal.aborted; ) {
    try {
      const task = await service.next(activity, workplace.id, patience.signal);
      pause = 1_000;
      if (task) await answer(task, place);
    } catch (error) {
      if (isMillraceError(error) && codes[error.code].retry === 'never') throw error;
      session.terminal.say(await session.redact(`Step Functions cannot be asked: ${storeError(error).message}`));
      await sleep(pause, undefined, { signal }).catch(() => {});
      pause = Math.min(2 * pause, longestPauseMs);
    }
  }
}

async function answer({ token, input }: ActivityTask, { session, workplace, service, signal }: Place): Promise<void> {
  const secrets = await session.secrets();
  secrets.hide(token);
  const { terminal } = session;
  let of = '';
  const end = await reported(
    async (unwanted) => {
      if (signal.aborted) throw leaving();
      const request = requestFromJson(jsonOf(input));
      of = `stage ${request.stage} of run ${request.run}`;
      terminal.say(`Takes ${of}.`);
      return taskEnd(await workplace.run(request, AbortSignal.any([signal, unwanted])));
    },
    { service, token, redact: secrets.redact },
  );
  const how =
    end === null ? 'is not waited for any more' : end.at === 'done' ? 'is done' : `has failed: ${end.error.code}, ${end.error.message}`;
  terminal.say(await session.redact(`${of || 'A task'} ${how}`));
  terminal.emit(await session.redact({ type: 'task', of, end: end?.at ?? 'unwanted', ...(end?.at === 'failed' && { error: end.error }) }));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const regionOf = (arn: string): string => {
  const [, region] = /^arn:[\w-]+:states:([\w-]+):\d{12}:activity:[^:]+$/.exec(arn) ?? [];
  if (region !== undefined) return region;
  throw new MillraceError('CONFIG_INVALID', {
    message: `"${arn}" is no ARN of an activity.`,
    remedy: 'Write it as AWS shows it: arn:aws:states:eu-west-1:123456789012:activity:millrace-nightly.',
  });
};

const leaving = (): MillraceError =>
  new MillraceError('SHUTDOWN', { message: 'The worker that was given this task is about to end.', remedy: 'Another one takes it.' });
