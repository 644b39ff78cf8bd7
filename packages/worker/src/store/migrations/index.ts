import type { Migration } from '../migrate.ts';
import { runs } from './0001-runs.ts';
import { streams } from './0002-streams.ts';
import { fleet } from './0003-fleet.ts';
import { schedules } from './0004-schedules.ts';
import { alerts } from './0005-alerts.ts';
import { splits } from './0006-splits.ts';
import { remote } from './0007-remote.ts';
import { newest } from './0008-newest.ts';

/** In order. A migration that has been released is never changed, and only ever adds: older versions go on working beside it. */
export const migrations: readonly Migration[] = [runs, streams, fleet, schedules, alerts, splits, remote, newest];
