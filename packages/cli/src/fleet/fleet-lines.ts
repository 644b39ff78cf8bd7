import type { ElsewhereStage, QueueGauges, RunningStage, WorkerOverview } from '@millrace/worker/observe';
import { scheduleTable } from '../scheduler/schedule-status.ts';
import type { Colours } from '../terminal.ts';
import { counted, duration, moment, saidText } from '../text/amount.ts';
import { alignedTable } from '../text/table.ts';
import { onOneLine } from '../text/width.ts';
import type { DispatchStatus } from './dispatch-status.ts';
import type { FleetStatus } from './fleet-status.ts';

/** A fleet for people, as `millrace status` shows it: blocks of lines, those that have nothing to say left out. */
export function fleetBlocks({ fleet, schedules, dispatch }: FleetStatus, colours: Colours): string[][] {
  const now = Date.parse(fleet.at);
  const { queues, workers, running, elsewhere } = fleet;
  return [
    [...queues.map((queue) => queueLine(queue, colours)), ...(dispatch ? dispatchLines(dispatch, colours) : [])],
    workers.length > 0 ? workerTable(workers, now, colours) : [],
    running.length > 0 ? stageTable(running, now, colours) : [],
    elsewhere.length > 0 ? elsewhereTable(elsewhere, now, colours) : [],
    schedules.length > 0 ? scheduleTable(schedules, colours.dim) : [],
  ].filter(({ length }) => length > 0);
}

function queueLine(gauges: QueueGauges, colours: Colours): string {
  const { queue, ready, running, retrying, elsewhere, due, helpers, oldestReady, workers, backlogPerWorker } = gauges;
  const waits = ready + due + helpers > 0;
  const parts = [
    workers === 0 && (waits || running > 0) ? colours.red('no worker') : counted(workers, 'worker'),
    `${ready} ready${ready > 0 ? ` (for ${duration(oldestReady * 1000)} at most)` : ''}`,
    `${running} running`,
    ...(elsewhere > 0 ? [`${elsewhere} elsewhere`] : []),
    ...(helpers > 0 ? [`room for ${counted(helpers, 'helper')}`] : []),
    ...(retrying > 0 ? [colours.yellow(`${retrying} to be tried again`)] : []),
    ...(waits ? [`${backlogPerWorker.toFixed(1)} for each worker`] : []),
  ];
  return `${colours.bold(queue)}  ${parts.join(', ')}`;
}

function dispatchLines({ by, error, server }: DispatchStatus, colours: Colours): string[] {
  const names = {
    notify: "the state database's notifications",
    'bullmq-postgres': 'BullMQ on the state database',
    redis: `Redis${server ? ` (${server})` : ''}`,
  };
  if (error === null) return [`wake-ups go by ${names[by]}`];
  return [
    `${colours.yellow('warning')} wake-ups go by ${names[by]}, which cannot be used from here: ${onOneLine(error.message)} Work is found by looking, every few seconds.`,
    `    ${colours.green('do')} ${onOneLine(error.remedy)}`,
  ];
}

/** Of a fingerprint; enough to tell versions apart. */
const shown = 8;

function workerTable(workers: readonly WorkerOverview[], now: number, colours: Colours): string[] {
  return alignedTable(
    [
      { title: 'worker' },
      { title: 'works for' },
      { title: 'state' },
      { title: 'since (UTC)' },
      { title: 'runs', align: 'right' },
      { title: 'has' },
    ],
    workers.map(({ id, queue, gone, since, seenAt, running, pipelines }) => [
      id,
      queue,
      gone ? colours.yellow(`gone, last heard of ${duration(now - Date.parse(seenAt))} ago`) : colours.green('alive'),
      moment(since),
      String(running),
      pipelines === null
        ? ''
        : pipelines.map(({ pipeline, fingerprint }) => `${pipeline ?? '?'} ${fingerprint.slice(0, shown)}`).join(', '),
    ]),
    colours.dim,
  );
}

function stageTable(running: readonly RunningStage[], now: number, colours: Colours): string[] {
  return alignedTable(
    [
      { title: 'pipeline' },
      { title: 'stage' },
      { title: 'run' },
      { title: 'worker' },
      { title: 'attempt', align: 'right' },
      { title: 'for', align: 'right' },
      { title: 'lease', align: 'right' },
    ],
    running.map(({ pipeline, stage, run, worker, workerGone, attempt, since, leaseUntil }) => {
      const left = Date.parse(leaseUntil) - now;
      return [
        pipeline,
        stage,
        run,
        worker,
        String(attempt),
        duration(Math.max(0, now - Date.parse(since))),
        workerGone ? colours.yellow('worker gone') : left > 0 ? `${duration(left)} left` : colours.yellow('over'),
      ];
    }),
    colours.dim,
  );
}

function elsewhereTable(stages: readonly ElsewhereStage[], now: number, colours: Colours): string[] {
  return alignedTable(
    [
      { title: 'pipeline' },
      { title: 'stage' },
      { title: 'run' },
      { title: 'runs elsewhere' },
      { title: 'says' },
      { title: 'for', align: 'right' },
      { title: 'where' },
    ],
    stages.map(({ pipeline, stage, run, label, status, progress, since, handle, link }) => [
      pipeline,
      stage,
      run,
      label ?? '',
      status === null ? '' : onOneLine(saidText(status, progress)),
      duration(Math.max(0, now - Date.parse(since))),
      link ?? handle ?? colours.dim('not known yet'),
    ]),
    colours.dim,
  );
}
