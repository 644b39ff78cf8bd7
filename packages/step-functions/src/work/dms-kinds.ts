/** A task on an instance, or a serverless replication. */
export type DmsKind = keyof typeof dmsKinds;

export const dmsKinds = {
  task: {
    id: 'DmsTask',
    suffix: '-dms-task',
    start: 'startReplicationTask',
    describe: 'describeReplicationTasks',
    filter: 'replication-task-arn',
    list: 'ReplicationTasks',
    type: 'MigrationType',
    stats: 'ReplicationTaskStats',
    more: { WithoutSettings: true },
  },
  serverless: {
    id: 'DmsReplication',
    suffix: '-dms-replication',
    start: 'startReplication',
    describe: 'describeReplications',
    filter: 'replication-config-arn',
    list: 'Replications',
    type: 'ReplicationType',
    stats: 'ReplicationStats',
    more: {},
  },
} as const;

export type Told = ReturnType<typeof toldAt>;

/** Paths to what DMS tells of a replication, where a look has left that. */
export function toldAt(look: string, of: DmsKind) {
  const { type, stats } = dmsKinds[of];
  const it = `${look}.all[0]`;
  return {
    it,
    Status: `${it}.Status`,
    StopReason: `${it}.StopReason`,
    type: `${it}.${type}`,
    StartDate: `${it}.${stats}.StartDate`,
    StopDate: `${it}.${stats}.StopDate`,
    FullLoadProgressPercent: `${it}.${stats}.FullLoadProgressPercent`,
    TablesLoading: `${it}.${stats}.TablesLoading`,
    TablesQueued: `${it}.${stats}.TablesQueued`,
    TablesErrored: `${it}.${stats}.TablesErrored`,
  } as const;
}
