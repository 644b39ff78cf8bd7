import { counted } from '../text/amount.ts';
import type { TargetResult } from './verify-target.ts';

/** What a person should know about a comparison, beside its outcome. */
export function remarks({ windows, comparison, unfit, stream, equal }: TargetResult): string[] {
  return [
    ...(stream && stream.moving > 0 ? [`${counted(stream.moving, 'row')} of ${stream.table} changed each time they were looked at`] : []),
    ...(stream && !stream.followed && !equal
      ? [`nobody follows the stream: what has changed in ${stream.table} since is among the differences`]
      : []),
    ...windows.flatMap((window) => (window ? [`compared up to the checkpoint of its load, ${window.column} below ${window.high}`] : [])),
    ...(comparison && comparison.setAside > 0
      ? [`${counted(comparison.setAside, 'row')} left aside: earlier versions, overwritten by another load, or changed at the source since`]
      : []),
    ...deletedRemark(windows, comparison?.onlyStored ?? 0),
    ...(unfit > 0 ? [`${counted(unfit, 'row')} of the source fit no row of the target`] : []),
  ];
}

const unseen = 'not compared: ';

/** Why a target is not compared, as the reason of its result. */
export const uncomparedReason = (why: string): string => unseen + why;
export const isUncompared = ({ reason }: Pick<TargetResult, 'reason'>): boolean => reason?.startsWith(unseen) === true;

/** What nobody should take for equal: ` Not compared: archived (change log).` Empty where everything was. */
export function uncompared(results: readonly Pick<TargetResult, 'steps' | 'reason'>[]): string {
  const loads = new Set(results.filter(isUncompared).map(({ steps, reason }) => `${steps.join(', ')} (${reason?.slice(unseen.length)})`));
  return loads.size === 0 ? '' : ` Not compared: ${[...loads].join(', ')}.`;
}

/** Who reads only what has changed never hears of what has gone. */
function deletedRemark(windows: TargetResult['windows'], onlyStored: number): string[] {
  const column = windows.find((window) => window !== null)?.column;
  if (column === undefined || onlyStored === 0) return [];
  return [
    `${counted(onlyStored, 'row')} only at the target: probably deleted at the source, which reading since "${column}" does not see. A load of all rows with mode: 'replace', or capture(), brings deletions too`,
  ];
}
