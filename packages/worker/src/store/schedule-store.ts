import type { ScheduleStore } from '@millrace/core/runtime';
import type { StateAddress } from './address.ts';
import * as backfills from './backfills.ts';
import { connect } from './connect.ts';
import { migrate } from './migrate.ts';
import * as schedules from './schedules.ts';
import * as ticks from './ticks.ts';

/** Schedules and backfills, beside the runs of `postgresStore` in the same database. @throws STATE_UNAVAILABLE, STATE_VERSION */
export async function postgresScheduleStore(address: StateAddress): Promise<ScheduleStore> {
  const connection = connect(address);
  const { guard } = connection;
  try {
    await guard(migrate);
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
  return {
    now: () => guard((db) => schedules.clock(db)),
    change: (pipeline, decide) => guard((db) => schedules.change(db, pipeline, decide)),
    serve: (deployed, deadMs) => guard((db) => schedules.serve(db, deployed, deadMs)),
    due: (pipelines) => guard((db) => schedules.due(db, pipelines)),
    schedules: () => guard((db) => schedules.schedules(db)),
    pause: (pipeline, paused) => guard((db) => schedules.pause(db, pipeline, paused)),
    forget: (pipeline, servedMs) => guard((db) => schedules.forget(db, pipeline, servedMs)),

    offer: (pipeline, added) => guard((db) => ticks.addTicks(db, pipeline, added)),
    tick: (pipeline, key) => guard((db) => ticks.tick(db, pipeline, key)),
    ticks: (pipeline, limit) => guard((db) => ticks.ticks(db, pipeline, limit)),
    launching: (pipeline) => guard((db) => ticks.openTicks(db, pipeline, ['launching'])),
    settle: (pipeline, key, outcome) => guard((db) => ticks.settle(db, pipeline, key, outcome)),
    forgetTicks: (days) => guard((db) => ticks.forgetTicks(db, days)),
    offerSuccesses: (pipeline, upstream) => guard((db) => ticks.offerSuccesses(db, pipeline, upstream)),

    createBackfill: (backfill) => guard((db) => backfills.createBackfill(db, backfill)),
    backfills: (filter) => guard((db) => backfills.backfills(db, filter)),
    openBackfills: (pipelines) => guard((db) => backfills.openBackfills(db, pipelines)),
    backfill: (id) => guard((db) => backfills.backfill(db, id)),
    backfillItems: (id) => guard((db) => backfills.backfillItems(db, id)),
    cancelBackfill: (id) => guard((db) => backfills.cancelBackfill(db, id)),
    resumeBackfill: (id, options) => guard((db) => backfills.resumeBackfill(db, id, options)),
    stepBackfill: (id) => guard((db) => backfills.stepBackfill(db, id)),
    settleItem: (id, ordinal, outcome) => guard((db) => backfills.settleItem(db, id, ordinal, outcome)),
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}
