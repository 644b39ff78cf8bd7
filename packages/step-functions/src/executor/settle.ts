import {
  isEnded,
  type Reopenings,
  type RunEvent,
  type RunId,
  type RunRecord,
  type RunStore,
  reopeningsOf,
  type StepFunctionsSettings,
  stepFunctionsQueue,
} from '@millrace/core/runtime';
import type { Machine, StateMachines } from '../compile.ts';
import { consoleLink, isCurrent, type Newest, newestExecution, reopeningsAt } from './executions.ts';
import { type Happening, History } from './history.ts';
import { concluded, type Done, recorded, redriven } from './record.ts';
import { type Execution, goesOn, type StepFunctionsService } from './service.ts';

export interface SettlerOptions {
  readonly store: RunStore;
  readonly service: StepFunctionsService;
  readonly settings: StepFunctionsSettings;
  readonly machinesOf: (run: RunRecord) => StateMachines;
}

export interface Settled {
  /** True where something was recorded. */
  readonly changed: boolean;
  /** Why the run does not go on, where that is so and only Step Functions knows. */
  readonly because: string | null;
}

/** Records what machines did that no task of ours has recorded: work of services, tasks that never began, executions that ended. */
export class Settler {
  readonly #options: SettlerOptions;
  readonly #followed = new Map<RunId, Followed>();

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Looks once. Runs of others are left alone, and so are those that have ended, unless somebody has redriven their execution. */
  async settle(id: RunId): Promise<Settled> {
    const { store, service } = this.#options;
    const found = await store.read(id);
    if (found.state.at === 'succeeded' || (await store.queueOf(id)) !== stepFunctionsQueue) {
      this.#followed.delete(id);
      return nothing;
    }
    const machines = this.#options.machinesOf(found);
    const deployed = await service.machine(machines.main.name);
    if (deployed === null) return { changed: false, because: `the state machine ${machines.main.name} is not there any more` };
    const { execution } = await this.newest(deployed, id);
    const retry = `"millrace runs retry ${id}" goes on with it`;
    if (!execution) return { changed: false, because: `no execution was started for it; ${retry}` };
    const reopenings = await this.reopened(id);
    if (!isCurrent(execution, reopenings))
      return { changed: false, because: goesOn(execution) ? null : `Step Functions was not asked to go on with it; ${retry}` };
    // Wake-ups of these runs are for nobody.
    await store.drainOutbox(stepFunctionsQueue, mostWakeUps);
    const run = reopeningsAt(execution) > reopenings.count ? await this.#redriven(found) : found;
    if (!isEnded(run.state)) {
      // Before the run is open again nothing is read: it would be lost.
      const isOpen = reopeningsAt(execution) === (await this.reopened(id)).count;
      const histories = isOpen ? await this.#follow(execution, machines, run) : [];
      if (!goesOn(execution)) await this.#conclude(run, execution, histories);
    }
    const { seq } = await store.read(id);
    return { changed: seq > found.seq, because: null };
  }

  /** The newest execution of a run. */
  async newest(machine: string, id: RunId): Promise<Newest> {
    const known = this.#of(id);
    const newest = await newestExecution(this.#options.service, machine, id, known.number);
    known.number = newest.number;
    return newest;
  }

  reopened(id: RunId): Promise<Reopenings> {
    return this.#of(id).reopened();
  }

  /** What services have done in an execution and its parts, by stage, whether the record has it or not: nobody need have looked before the run ended. */
  async done(execution: Execution, machines: StateMachines): Promise<Map<string, Done>> {
    const found = new Map<string, Done>();
    const waiting = machines.native.size === 0 ? [] : [execution.arn];
    for (let arn = waiting.shift(); arn !== undefined; arn = waiting.shift()) {
      const machine = machineOf(arn, machines);
      if (!machine) continue;
      const history = new History(machine);
      history.read(await this.#options.service.history(arn, 0));
      for (const [stage, output] of history.done) found.set(stage, { output, link: consoleLink(arn, this.#options.settings) });
      waiting.push(...history.everStarted);
    }
    return found;
  }

  #of(id: RunId): Followed {
    const known = this.#followed.get(id) ?? { number: 1, reopened: reopeningsOf(this.#options.store, id), histories: new Map() };
    this.#followed.set(id, known);
    return known;
  }

  /** Opens the run again where somebody has redriven its execution. Nobody else has changed it since it was looked at. */
  async #redriven(before: RunRecord): Promise<RunRecord> {
    const { store } = this.#options;
    const leases = await store.leases(before.id);
    const { run } = await store.transition(before.id, (record, now) => (record.seq === before.seq ? redriven(record, leases, now) : []));
    return run;
  }

  /** Reads on in the histories of the execution and of its parts, where there is something to find. Answers those, and no other execution's. */
  async #follow(execution: Execution, machines: StateMachines, run: RunRecord): Promise<History[]> {
    if (goesOn(execution) && machines.native.size === 0) return [];
    const { histories } = this.#of(run.id);
    const read: History[] = [];
    const waiting = [execution.arn];
    for (let arn = waiting.shift(); arn !== undefined; arn = waiting.shift()) {
      const machine = machineOf(arn, machines);
      if (!machine) continue;
      const history = histories.get(arn) ?? new History(machine);
      // Until all of it is recorded: what is lost on the way is read again.
      histories.delete(arn);
      const happenings = history.read(await this.#options.service.history(arn, history.last));
      await this.#record(run, happenings, consoleLink(arn, this.#options.settings));
      histories.set(arn, history);
      read.push(history);
      waiting.push(...history.parts);
    }
    return read;
  }

  async #record(before: RunRecord, happenings: readonly Happening[], link: string): Promise<void> {
    for (const happening of happenings)
      await this.#options.store.transition(before.id, (run, now) => (goesOnSince(before, run) ? recorded(run, happening, link, now) : []));
  }

  async #conclude(before: RunRecord, { arn, status, error, cause }: Execution, histories: readonly History[]): Promise<void> {
    const { store, settings } = this.#options;
    const troubles = histories.flatMap(({ trouble }) => (trouble ? [trouble] : []));
    const trouble = troubles.find(({ stage }) => stage !== null);
    const leases = await store.leases(before.id);
    const workers = await store.workers(stepFunctionsQueue);
    const end = {
      status: status as 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED',
      failure: trouble?.failure ?? { name: error ?? `the execution ended as ${status}`, cause },
      stage: trouble?.stage ?? null,
      link: consoleLink(arn, settings),
      leases,
      alive: new Set(workers.flatMap((worker) => (worker.gone ? [] : [worker.id]))),
    };
    await store.transition(before.id, (run, now): readonly RunEvent[] => (goesOnSince(before, run) ? concluded(run, end, now) : []));
  }
}

/** True where the run has not ended since it was looked at: it may have been reopened then, and what the execution did is not of this time any more. */
const goesOnSince = (before: RunRecord, run: RunRecord): boolean => !isEnded(run.state) && run.state.since === before.state.since;

const nothing: Settled = { changed: false, because: null };

interface Followed {
  /** Of the newest execution that was seen. */
  number: number;
  readonly reopened: () => Promise<Reopenings>;
  /** By the ARN of the execution. */
  readonly histories: Map<string, History>;
}

const mostWakeUps = 1_000;

/** `arn:aws:states:<region>:<account>:execution:<machine>:<name>`: the pipeline's machine, or a part of it. */
function machineOf(execution: string, { main, others }: StateMachines): Machine | undefined {
  const name = execution.split(':')[6];
  return [main, ...others].find((machine) => machine.name === name && (machine === main || machine.states.size > 0));
}
