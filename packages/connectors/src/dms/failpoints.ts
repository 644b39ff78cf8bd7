import { failpoint } from '@millrace/core/runtime';

/** Instants at which a crash must cost time only. */
export const dmsFailpoints = ['dms.task.started', 'dms.entry.appended', 'dms.facts.kept', 'dms.group.handed'] as const;

export type DmsFailpoint = (typeof dmsFailpoints)[number];

export const passing: (point: DmsFailpoint) => void = failpoint;
