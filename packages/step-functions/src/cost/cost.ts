import type { Plan, PlanStage, StepFunctionsSettings } from '@millrace/core/runtime';
import type { StateMachines } from '../compile.ts';
import { longestPause } from '../work/dms-machine.ts';
import { isRemote } from '../work/is-remote.ts';
import { describedOf } from '../work/remote.ts';
import { prices } from './prices.ts';
import { looksIn, transitionsOf } from './transitions.ts';

/** A line of what one run costs. */
export interface CostLine {
  readonly what: string;
  readonly quantity: number;
  readonly unit: string;
  readonly dollars: number;
}

export interface Cost {
  readonly lines: readonly CostLine[];
  readonly dollars: number;
  /** What was taken for granted, a sentence each. */
  readonly assumes: readonly string[];
  readonly pricesOf: string;
}

/** Minutes in which a task has fetched its image, which Fargate counts as well. */
const startMinutes = 1;
/** Objects that a stage with files reads and writes; the figure is dwarfed by all others. */
const objects = 100;

/** What a run costs that succeeds at the first attempt, where each stage takes so many minutes. Databases, warehouses and logs are not in it. */
export function costOf(plan: Plan, machines: StateMachines, settings: StepFunctionsSettings, minutes: number): Cost {
  const ours = plan.stages.filter((stage) => !isNative(stage, machines));
  const natives = plan.stages
    .filter((stage) => isNative(stage, machines))
    .map((stage) => describedOf(plan.steps.find(({ name }) => name === stage.id) as Plan['steps'][number]));
  const watched = natives.filter(({ service }) => service === 'dms');
  const watching = watched.reduce((sum, { pollMs }) => sum + 10 + 3 * looksIn(minutes * 60, pollMs / 1000, longestPause), 0);
  const lines = [
    line('Step Functions', transitionsOf(machines) + watching, 'state transitions', prices.stateTransition),
    ...fargate(ours, settings, minutes),
    ...natives.flatMap((one) => nativeLine(one, minutes)),
    ...files(plan),
  ];
  return {
    lines,
    dollars: lines.reduce((sum, { dollars }) => sum + dollars, 0),
    assumes: [
      `every stage takes ${minutes} min, and succeeds at the first attempt`,
      ...(natives.some(({ service }) => service === 'dms')
        ? ['a replication instance of DMS is paid for whether it works or not, and is not in it']
        : []),
      ...(natives.some(({ service }) => service === 'glue') ? ['a Glue job that does not say its workers has 10 DPU'] : []),
    ],
    pricesOf: `${prices.region}, ${prices.asOf}`,
  };
}

const line = (what: string, quantity: number, unit: string, price: number): CostLine => ({
  what,
  quantity,
  unit,
  dollars: quantity * price,
});

const isNative = (stage: PlanStage, { watched }: StateMachines): boolean => isRemote(stage) && !watched.has(stage.id);

function fargate(stages: readonly PlanStage[], settings: StepFunctionsSettings, minutes: number): CostLine[] {
  const { work = 'task', cpu = 1024, memory = 2048, storage = 30, architecture = 'X86_64', spot = false, splits = {} } = settings;
  if (stages.length === 0 || (work !== 'task' && work !== 'token')) return [];
  const tasks = stages.reduce((sum, { id, kind, whole }) => sum + (kind === 'rows' && !whole ? (splits[id] ?? 1) : 1), 0);
  const hours = (tasks * (minutes + startMinutes)) / 60;
  const share = spot ? prices.fargate.spotShare : 1;
  const { cpuHour, gibHour } = prices.fargate[architecture];
  return [
    line(`Fargate${spot ? ' Spot' : ''}, ${tasks} task(s)`, (hours * cpu) / 1024, 'vCPU-hours', cpuHour * share),
    line('Fargate memory', (hours * memory) / 1024, 'GiB-hours', gibHour * share),
    ...(storage > 20 ? [line('Fargate storage', hours * (storage - 20), 'GiB-hours', prices.fargate.storageGibHour)] : []),
  ];
}

function nativeLine({ service, parameters, facts, label }: ReturnType<typeof describedOf>, minutes: number): CostLine[] {
  switch (service) {
    case 'glue': {
      const workers = Number(parameters['NumberOfWorkers'] ?? parameters['MaxCapacity'] ?? 10);
      const dpus = workers * (dpuOf[String(parameters['WorkerType'])] ?? 1);
      const flex = parameters['ExecutionClass'] === 'FLEX';
      return [line(label, (dpus * minutes) / 60, 'DPU-hours', flex ? prices.glue.flexDpuHour : prices.glue.dpuHour)];
    }
    case 'dms':
      return facts['serverless'] === true ? [line(label, (2 * minutes) / 60, 'DCU-hours', prices.dms.dcuHour)] : [];
    case 'lambda':
      return [line(label, Math.min(minutes, 15) * 60, 'GiB-seconds', prices.lambda.gibSecond)];
    case 'events':
      return [line(label, 1, 'events', prices.events)];
    case 'sns':
      return [line(label, 1, 'messages', prices.sns)];
    default:
      return [];
  }
}

/** DPUs of a worker. */
const dpuOf: Readonly<Record<string, number>> = { 'G.025X': 0.25, 'G.1X': 1, 'G.2X': 2, 'G.4X': 4, 'G.8X': 8, 'Z.2X': 2 };

function files({ steps, stages }: Plan): CostLine[] {
  const withFiles = stages.filter((stage) =>
    steps.some(({ name, description }) => stage.steps.includes(name) && description['connector'] === 's3'),
  );
  if (withFiles.length === 0) return [];
  return [
    line('S3, writes', withFiles.length * objects, 'requests', prices.s3.write),
    line('S3, reads', withFiles.length * objects, 'requests', prices.s3.read),
  ];
}
