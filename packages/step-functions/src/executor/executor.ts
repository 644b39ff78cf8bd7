import { setTimeout as sleep } from 'node:timers/promises';
import {
  decide,
  type Executor,
  isEnded,
  isMillraceError,
  MillraceError,
  makeRunId,
  mayPass,
  type Plan,
  type RunDetail,
  type RunId,
  type RunRecord,
  type RunStore,
  runRequest,
  type Started,
  type StartRequest,
  type StepFunctionsSettings,
  stagesWith,
  stepFunctionsQueue,
} from '@millrace/core/runtime';
import { compileStateMachines, type StateMachines } from '../compile.ts';
import { executionInput, executionName, type Newest, toldReopened } from './executions.ts';
import { type Execution, goesOn, type StepFunctionsService, stepFunctionsService } from './service.ts';
import { Settler } from './settle.ts';

/** What is told of runs, whoever works on them: all of it is in the store. */
export interface StoredViews extends Pick<Executor, 'watch' | 'list' | 'show' | 'logs'> {
  finished(run: RunId, options?: { readonly signal?: AbortSignal }): Promise<RunRecord>;
}

export interface StepFunctionsOptions<Views extends StoredViews> {
  /** Where the tasks of the machines keep their runs; closed with the executor. */
  readonly store: RunStore;
  /** Of the same store. */
  readonly views: Views;
  readonly settings: StepFunctionsSettings;
  /** The project's environment, for what people are to type. */
  readonly environment: string;
  /** By `@aws-sdk/client-sfn` in the region of the settings where it is left out. */
  readonly service?: StepFunctionsService;
  /** Milliseconds between two looks at a run that is watched: the first pause, and the longest, to which it doubles while nothing happens. */
  readonly pauses?: { readonly first: number; readonly longest: number };
}

/** Starts executions of deployed machines and tells how the runs fare. Closing it leaves the runs to Step Functions. */
export type StepFunctionsExecutor<Views extends StoredViews> = Executor & Views & AsyncDisposable & { readonly kind: 'step-functions' };

/** @throws UNSUPPORTED where the SDK's package is missing */
export async function stepFunctionsExecutor<Views extends StoredViews>(
  options: StepFunctionsOptions<Views>,
): Promise<StepFunctionsExecutor<Views>> {
  const service = options.service ?? (await stepFunctionsService(options.settings.region));
  const machines = new OnStepFunctions({ ...options, service });
  const { views, store } = options;
  return {
    ...views,
    kind: 'step-functions',
    start: (request) => machines.start(request),
    resume: (run) => machines.goOn(run),
    retry: (run, { from } = {}) => machines.goOn(run, from),
    cancel: (run) => machines.cancel(run),
    watch: (run, how = {}) => machines.watch(run, how),
    list: (filter = {}) => machines.list(filter),
    show: (run) => machines.show(run),
    finished: (run, how = {}) => machines.finished(run, how),
    async [Symbol.asyncDispose]() {
      service[Symbol.dispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

/** Open runs that `list` asks Step Functions about. */
const mostListed = 20;
const gently = { first: 2_000, longest: 15_000 };
/** How long an execution may take to end when its run has: what it tries again meanwhile ends at once. */
const endingMs = 30_000;

class OnStepFunctions {
  readonly #options: StepFunctionsOptions<StoredViews> & { readonly service: StepFunctionsService };
  readonly #settler: Settler;
  readonly #compiled = new Map<string, StateMachines>();

  constructor(options: StepFunctionsOptions<StoredViews> & { readonly service: StepFunctionsService }) {
    this.#options = options;
    this.#settler = new Settler({ ...options, machinesOf: ({ plan }) => this.#machinesOf(plan) });
  }

  async start(request: StartRequest): Promise<Started> {
    const { store } = this.#options;
    const plan = planOf(request);
    const machine = await this.#deployed(plan);
    const now = await store.now();
    const asked = await runRequest(request, plan, store, now);
    const made = await store.create({
      id: makeRunId(now, Math.random),
      // Where the file is says the image.
      request: { ...asked, file: null },
      plan,
      queue: stepFunctionsQueue,
    });
    const { id } = made.run;
    // One that was made before may have been left without an execution.
    if (!made.created && isEnded(made.run.state)) return { run: made.run, continued: true };
    const run = await this.#admit(id);
    await this.#execute(run, made.created ? machine : await this.#deployed(run.plan), 1);
    return { run: await store.read(id), continued: !made.created };
  }

  /**
   * An execution that can be redriven goes on from where it failed. Another one is started where that would lead nowhere: it has ended in a
   * state that fails, stages are to be done again that it takes for done, or parts have executions of their own.
   */
  async goOn(id: RunId, from?: string): Promise<RunRecord> {
    const { store } = this.#options;
    const { plan } = await store.read(id);
    const again = from === undefined ? [] : stagesWith(plan, from);
    const machine = await this.#machineOf(plan);
    if (!(await store.adopt(id, stepFunctionsQueue))) throw held(id, 'Another process works on it.');
    await this.#settler.settle(id);
    const newest = await this.#settler.newest(machine, id);
    const { execution } = newest;
    const reopened = await this.#settler.reopened(id);
    const run = await store.read(id);
    if (!isEnded(run.state)) {
      if (execution && toldReopened(execution) >= reopened) {
        if (goesOn(execution)) return run;
        throw held(id, 'Its execution has ended, and a task of it is still being stopped.');
      }
      await this.#admit(id);
      return this.#executeNext(id, machine, newest, reopened);
    }
    if (execution && goesOn(execution)) {
      // Somebody has redriven it where he saw it fail.
      if (toldReopened(execution) > reopened) return (await this.#reopen(id, [])) ?? run;
      await this.#ended(execution, id);
    }
    const redrives = execution !== null && again.length === 0 && (await this.#leadsOn(execution, run, reopened));
    const after = await this.#reopen(id, again);
    if (!after) return store.read(id); // nothing is left to do, or somebody else has been quicker
    if (redrives && (await this.#options.service.redrive(execution.arn))) return after;
    return this.#executeNext(id, machine, newest, reopened + 1);
  }

  async cancel(id: RunId): Promise<RunRecord> {
    const { store, service } = this.#options;
    const { run } = await store.transition(id, (record, now) => decide(record, { type: 'cancel' }, now));
    if (isEnded(run.state) && run.cancelRequestedAt === null) return run;
    const machine = (await store.queueOf(id)) === stepFunctionsQueue ? await service.machine(this.#machinesOf(run.plan).main.name) : null;
    if (machine === null) return store.read(id);
    const { execution } = await this.#settler.newest(machine, id);
    if (execution && goesOn(execution)) await service.stop(execution.arn, 'RUN_CANCELLED', `"millrace runs cancel ${id}"`);
    await this.#settler.settle(id);
    return store.read(id);
  }

  async *watch(id: RunId, how: Parameters<Executor['watch']>[1]): ReturnType<Executor['watch']> {
    const over = this.#follow(id);
    try {
      yield* this.#options.views.watch(id, how);
    } finally {
      over.abort();
    }
  }

  async finished(id: RunId, how: Parameters<StoredViews['finished']>[1]): Promise<RunRecord> {
    const over = this.#follow(id);
    try {
      return await this.#options.views.finished(id, how);
    } finally {
      over.abort();
    }
  }

  async list(filter: Parameters<Executor['list']>[0]): ReturnType<Executor['list']> {
    const { views } = this.#options;
    const found = await views.list(filter);
    const open = found.filter(({ state }) => !isEnded(state)).slice(0, mostListed);
    const settled = await Promise.all(open.map(({ id }) => this.#settle(id)));
    return settled.some(({ changed }) => changed) ? views.list(filter) : found;
  }

  async show(id: RunId): Promise<RunDetail> {
    const { because } = await this.#settle(id);
    const detail = await this.#options.views.show(id);
    return because === null || isEnded(detail.run.state) ? detail : { ...detail, waits: because };
  }

  /** Looks again and again, until that is aborted or the run has ended. */
  #follow(id: RunId): AbortController {
    const over = new AbortController();
    const { first, longest } = this.#options.pauses ?? gently;
    const look = async (): Promise<void> => {
      for (let pause = first; !over.signal.aborted; ) {
        const { changed } = await this.#settle(id);
        pause = changed ? first : Math.min(longest, 2 * pause);
        await sleep(pause, undefined, { signal: over.signal, ref: false });
      }
    };
    look().catch(() => {}); // aborted
    return over;
  }

  /** For those who only look: that somebody does not answer is a reason to wait, not to stop looking. */
  async #settle(id: RunId): ReturnType<Settler['settle']> {
    try {
      return await this.#settler.settle(id);
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      return { changed: false, because: `what Step Functions does is not known: ${error.message} ${error.remedy}` };
    }
  }

  #machinesOf(plan: Plan): StateMachines {
    const known = this.#compiled.get(plan.fingerprint) ?? compileStateMachines(plan, this.#options.settings);
    this.#compiled.set(plan.fingerprint, known);
    return known;
  }

  /** @throws REMOTE_REFUSED where it is not deployed */
  async #machineOf(plan: Plan): Promise<string> {
    const { name } = this.#machinesOf(plan).main;
    const machine = await this.#options.service.machine(name);
    if (machine === null) throw this.#notDeployed(plan, name);
    return machine;
  }

  /** @throws REMOTE_REFUSED, PLAN_CHANGED */
  async #deployed(plan: Plan): Promise<string> {
    const machine = await this.#machineOf(plan);
    const comment = await this.#options.service.comment(machine);
    if (comment === null) throw this.#notDeployed(plan, this.#machinesOf(plan).main.name);
    const fingerprint = fingerprintIn(comment);
    if (fingerprint !== null && plan.fingerprint.startsWith(fingerprint)) return machine;
    throw new MillraceError('PLAN_CHANGED', {
      message: `The state machine of "${plan.pipeline}" was deployed from plan ${fingerprint ?? 'of another tool'}, and this is plan ${plan.fingerprint.slice(0, 12)}.`,
      remedy: `Deploy this version: ${this.#deploy(plan)}. Or check out the version that is deployed.`,
      facts: { pipeline: plan.pipeline, deployed: fingerprint, plan: plan.fingerprint },
    });
  }

  #notDeployed({ pipeline }: Plan, name: string): MillraceError {
    const { region } = this.#options.settings;
    return new MillraceError('REMOTE_REFUSED', {
      message: `There is no state machine ${name} in ${region}.`,
      remedy: `Deploy it: ${this.#deploy({ pipeline })}.`,
      facts: { pipeline, name, region },
    });
  }

  #deploy({ pipeline }: Pick<Plan, 'pipeline'>): string {
    return `millrace deploy ${pipeline} --env ${this.#options.environment} --apply`;
  }

  /** At once, whatever else of the pipeline runs: so does every execution that a schedule starts. */
  async #admit(id: RunId): Promise<RunRecord> {
    const { run } = await this.#options.store.transition(id, (record, now) => decide(record, { type: 'admit', rivals: [], limit: 1 }, now));
    return run;
  }

  async #execute(run: RunRecord, machine: string, number: number, again = 0): Promise<void> {
    const { service, store } = this.#options;
    try {
      await service.start(machine, executionName(run.id, number), executionInput(run, this.#machinesOf(run.plan), again));
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      if (mayPass(error))
        throw new MillraceError(error.code, {
          message: `${error.message} Run ${run.id} is stored.`,
          remedy: `Start it when Step Functions answers: millrace runs retry ${run.id}`,
          facts: error.facts,
          cause: error,
        });
      await store.transition(run.id, (record, now) => decide(record, { type: 'cancel' }, now));
      throw error;
    }
  }

  async #executeNext(id: RunId, machine: string, { number, execution }: Newest, reopened: number): Promise<RunRecord> {
    const run = await this.#options.store.read(id);
    await this.#deployed(run.plan);
    await this.#execute(run, machine, execution ? number + 1 : 1, reopened);
    return run;
  }

  async #reopen(id: RunId, from: readonly string[]): Promise<RunRecord | null> {
    const { events } = await this.#options.store.transition(id, (record, now) => decide(record, { type: 'reopen', from }, now));
    return events.length === 0 ? null : this.#admit(id);
  }

  /** Whether redriving it would do what is left to do. What a state has failed with is not tried again where the machine went on from there. */
  async #leadsOn(execution: Execution, { plan, stages }: RunRecord, reopened: number): Promise<boolean> {
    // Else its redrives would not count the reopenings any more.
    if (!execution.redrivable || toldReopened(execution) !== reopened) return false;
    if (plan.stages.some(({ id, onFailure }) => onFailure === 'continue' && stages.get(id)?.state.at === 'failed')) return false;
    if (this.#machinesOf(plan).others.some(({ states }) => states.size > 0)) return false;
    const events = await this.#options.service.history(execution.arn, 0);
    const since = events.findLastIndex(({ type }) => type === 'ExecutionRedriven');
    return !events.slice(since + 1).some(({ type }) => type === 'FailStateEntered');
  }

  async #ended({ arn }: Execution, id: RunId): Promise<void> {
    const end = performance.now() + endingMs;
    for (let pause = 200; performance.now() < end; pause = Math.min(2_000, 2 * pause)) {
      const execution = await this.#options.service.execution(arn);
      if (!execution || !goesOn(execution)) return;
      await sleep(pause);
    }
    throw held(id, 'It has ended, and its execution has not: what runs beside its last stage comes to its end first.');
  }
}

function planOf({ file, plan }: StartRequest): Plan {
  if (plan) return plan;
  throw new MillraceError('PIPELINE_INVALID', {
    message: `${file} is to run on Step Functions, and was handed over without its plan.`,
    remedy: 'Compile it first: start({ file, plan: compile(pipeline) }).',
  });
}

/** Of the comment that `compile` writes: as much of the plan's fingerprint as stands there. */
const fingerprintIn = (comment: string): string | null => /, plan ([0-9a-f]{12,64})$/.exec(comment)?.[1] ?? null;

const held = (run: RunId, why: string): MillraceError =>
  new MillraceError('RUN_HELD', {
    message: `Run ${run} cannot go on yet. ${why}`,
    remedy: `Watch it: millrace runs watch ${run}`,
    facts: { run },
  });
