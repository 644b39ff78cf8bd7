import { setTimeout as sleep } from 'node:timers/promises';
import {
  decide,
  type Executor,
  isEnded,
  isMillraceError,
  MillraceError,
  makeRunId,
  type Plan,
  type RunDetail,
  type RunId,
  type RunRecord,
  type RunStore,
  runRequest,
  type Started,
  type StartRequest,
  type StepFunctionsSettings,
  stepFunctionsQueue,
} from '@millrace/core/runtime';
import { type Deployments, deployments } from './deployments.ts';
import { goOn } from './go-on.ts';
import { admit, launch, stop } from './launch.ts';
import { goesOn, type StepFunctionsService, stepFunctionsService } from './service.ts';
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

class OnStepFunctions {
  readonly #options: StepFunctionsOptions<StoredViews> & { readonly service: StepFunctionsService; readonly deployments: Deployments };
  readonly #settler: Settler;

  constructor(options: StepFunctionsOptions<StoredViews> & { readonly service: StepFunctionsService }) {
    const deployed = deployments(options);
    this.#options = { ...options, deployments: deployed };
    this.#settler = new Settler({ ...options, machinesOf: ({ plan }) => deployed.compiled(plan) });
  }

  async start(request: StartRequest): Promise<Started> {
    const { store, deployments } = this.#options;
    const plan = planOf(request);
    const machine = await deployments.deployed(plan);
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
    const isOurs = made.created || (await store.queueOf(id)) === stepFunctionsQueue;
    if (!isOurs || (!made.created && isEnded(made.run.state))) return { run: made.run, continued: true };
    // One that was made before may have been left without an execution.
    const run = await admit(this.#options, id);
    await launch(this.#options, run, { machine: made.created ? machine : await deployments.deployed(run.plan), number: 1 });
    return { run: await store.read(id), continued: !made.created };
  }

  goOn(id: RunId, from?: string): Promise<RunRecord> {
    return goOn({ ...this.#options, settler: this.#settler }, id, from);
  }

  async cancel(id: RunId): Promise<RunRecord> {
    const { store, service, deployments } = this.#options;
    // A redrive that nobody has heard of would open the run again.
    await this.#settle(id);
    const { run } = await store.transition(id, (record, now) => decide(record, { type: 'cancel' }, now));
    if (isEnded(run.state) && run.cancelRequestedAt === null) return run;
    const isOurs = (await store.queueOf(id)) === stepFunctionsQueue;
    const machine = isOurs ? await service.machine(deployments.compiled(run.plan).main.name) : null;
    if (machine === null) return store.read(id);
    const { execution } = await this.#settler.newest(machine, id);
    if (execution && goesOn(execution)) await stop(service, id, execution.arn);
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
}

function planOf({ file, plan }: StartRequest): Plan {
  if (plan) return plan;
  throw new MillraceError('PIPELINE_INVALID', {
    message: `${file} is to run on Step Functions, and was handed over without its plan.`,
    remedy: 'Compile it first: start({ file, plan: compile(pipeline) }).',
  });
}
