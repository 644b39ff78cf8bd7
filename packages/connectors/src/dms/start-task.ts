import { setTimeout as sleep } from 'node:timers/promises';
import { keepTask, sameTask, settled } from './control.ts';
import { type Begin, checkAlive, type DmsStatus, howToBegin, howToGoOn } from './life-cycle.ts';
import type { SourceParts } from './source-parts.ts';

type Parts = Pick<SourceParts, 'control' | 'context' | 'settings'>;

/** Brings the task to a full load that nobody has followed yet; answers when that began. `followed`: when the last one began that was. */
export async function startLoad(parts: Parts, followed: string | null): Promise<string> {
  const { control, context, settings } = parts;
  for (;;) {
    const state = await control.status(context);
    const begin = adoptable(parts, howToBegin(state, followed), state);
    switch (begin.do) {
      case 'adopt':
        return begin.startedAt;
      case 'wait':
        await sleep(settings.lookMs, undefined, { signal: context.signal });
        break;
      case 'stop':
        context.log.info(`stops ${control.label}, so that it can load the tables again`);
        await control.stop(context);
        await settled(control, ['running', 'stopping'], context, settings.lookMs);
        break;
      default: {
        await keepTask(control, settings.task, context, settings.lookMs);
        await control.start(begin.do === 'start' ? 'start-replication' : 'reload-target', context);
        const was = state.freshStart;
        await until(parts, ({ freshStart }) => freshStart !== null && freshStart !== was);
      }
    }
  }
}

/** Has a task that stands still go on where it stopped. */
export async function resumeTask({ control, context, settings }: Parts): Promise<void> {
  for (;;) {
    const next = howToGoOn(await control.status(context), control.label);
    if (next.do === 'nothing') return;
    if (next.do === 'resume') {
      context.log.info(`resumes ${control.label}`);
      return control.start('resume-processing', context);
    }
    await sleep(settings.lookMs, undefined, { signal: context.signal });
  }
}

/** A load that somebody has begun with other mappings or settings is none of ours. */
function adoptable({ settings }: Parts, begin: Begin, state: DmsStatus): Begin {
  if (begin.do !== 'adopt' || !settings.manage) return begin;
  const { sameTables, sameSettings } = sameTask(state, settings.task);
  return sameTables && sameSettings ? begin : { do: 'stop' };
}

async function until({ control, context, settings }: Parts, isSo: (state: DmsStatus) => boolean): Promise<void> {
  for (;;) {
    const state = await control.status(context);
    if (isSo(state)) return;
    checkAlive(state, control.label);
    await sleep(settings.lookMs, undefined, { signal: context.signal });
  }
}
