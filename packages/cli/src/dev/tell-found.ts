import { scheduleText } from '@millrace/core/runtime';
import { warnUnlisted } from '../commands/plan.ts';
import { planDiff } from '../plan/diff.ts';
import { environmentWarnings, warn } from '../project/environment-warnings.ts';
import type { Session } from '../session.ts';
import { counted } from '../text/amount.ts';
import { failureBlock, failureJson } from '../text/failure.ts';
import type { Found } from './versions.ts';

/** Says what a look at the files has found. */
export async function tellFound(session: Session, found: readonly Found[]): Promise<void> {
  const { terminal } = session;
  const { err } = terminal;
  for (const one of found) {
    switch (one.type) {
      case 'deployed': {
        const { file, plan, before, loaded } = one;
        const changes = before ? planDiff(before, plan) : [];
        const warnings = [...plan.warnings, ...(await environmentWarnings(session, plan))];
        terminal.say(
          before
            ? `${err.green('reloaded')} ${plan.pipeline}${changes.length > 0 ? `: ${counted(changes.length, 'change')} of its plan` : ''}`
            : `${err.green('compiled')} ${plan.pipeline}: ${counted(plan.stages.length, 'stage')}, ${scheduleText(plan.schedule)}`,
        );
        for (const { sign, what, details } of changes)
          terminal.say(`  ${sign} ${what}${details.length > 0 ? `  ${err.dim(details.join('; '))}` : ''}`);
        warnUnlisted(terminal, loaded);
        warn(terminal, warnings);
        terminal.emit({ type: before ? 'reloaded' : 'compiled', file, pipeline: plan.pipeline, plan: plan.fingerprint, changes, warnings });
        break;
      }
      case 'broken': {
        const { file, error, keeps } = one;
        terminal.say(`${err.red('broken')} ${file}\n${await session.redact(failureBlock(error, err))}`);
        if (keeps !== null) terminal.say(err.dim(`The version of ${keeps} before it stays deployed.`));
        terminal.emit(await session.redact({ type: 'broken', file, keeps, ...failureJson(error) }));
        break;
      }
      case 'gone':
        terminal.say(
          `${err.yellow('gone')} ${one.pipeline}: no more runs are made; "millrace schedule forget ${one.pipeline}" forgets its schedule.`,
        );
        terminal.emit({ type: 'gone', file: one.file, pipeline: one.pipeline });
        break;
      default:
        one satisfies never;
    }
  }
}
