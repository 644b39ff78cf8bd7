import {
  beginStage,
  compile,
  helpStage,
  lookStage,
  MillraceError,
  type Pipeline,
  plainJson,
  type RemoteHandle,
  type RemoteIntent,
  restoreError,
  runStage,
  type SplitClaims,
  type StagedPart,
  type StageJob,
  type StagePorts,
  type StoredError,
  type StreamRequest,
  storeFailure,
} from '@millrace/core/runtime';
import { type LoadedPipeline, loadPipeline } from '../load/load.ts';
import { withOriginalPlaces } from '../load/places.ts';
import { redactError } from '../secrets/redact.ts';
import { environmentSecrets, type Secrets } from '../secrets/secrets.ts';
import { captureOutput } from './capture-output.ts';
import type { FromProcess, StoreRequest, ToProcess } from './message.ts';
import { endWithParent } from './orphan.ts';
import { throttled } from './throttle.ts';
import { underSpan } from './under-span.ts';

/** The process that runs stages, one after the other: user code may block it, leak in it and crash it. */

const send = (message: FromProcess): void => void process.send?.(message);

let loading: { readonly pipeline: Promise<LoadedPipeline>; readonly secrets: Secrets } | undefined;
/** Fingerprint of the pipeline, which is loaded once. */
let compiled: string | undefined;
let running: Running | undefined;
const waiting = new Map<number, { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }>();

process.on('message', (message: ToProcess) => {
  switch (message.type) {
    case 'load': {
      const secrets = environmentSecrets({ directory: message.directory, sources: message.sources });
      loading = { pipeline: loadPipeline(message.file), secrets };
      loading.pipeline.catch(() => {}); // told when a stage wants it
      captureOutput((level, text) => log(secrets, level, text));
      return;
    }
    case 'plan':
      return void tellPlan();
    case 'run':
      return void run(message);
    case 'stop':
      return running?.end(message);
    case 'stored': {
      const request = waiting.get(message.id);
      waiting.delete(message.id);
      return message.error ? request?.reject(restoreError(message.error)) : request?.resolve(message.value);
    }
    default:
      message satisfies never;
  }
});
// The worker has died: what runs here is nobody's any more.
endWithParent();
process.on('disconnect', () => process.exit(1));
if (!process.connected) process.exit(1);
// Node 21 has it. pg, to find out whether it runs at Cloudflare, makes Node 20 load all of fetch where it is not there: 40 ms.
if (!('navigator' in globalThis)) Object.assign(globalThis, { navigator: { userAgent: 'Node.js/20' } });
// Ctrl-C goes to the whole group; the worker decides what it means for us.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, (error: unknown) => crash(error));

async function tellPlan(): Promise<void> {
  const { pipeline } = loading as NonNullable<typeof loading>;
  try {
    send({ type: 'plan', plan: plain(compile((await pipeline).pipeline)) });
  } catch (error) {
    send({ type: 'failed', error: failure(error) });
  }
}

async function run(work: Extract<ToProcess, { type: 'run' }>): Promise<void> {
  const { job, fingerprint, spool, trace } = work;
  const { pipeline, secrets } = loading as NonNullable<typeof loading>;
  const started = performance.now();
  const own = new Running(job);
  running = own;
  const progress = throttled((state: Extract<FromProcess, { type: 'progress' }>['progress']) =>
    send({ type: 'progress', progress: state, memory: process.memoryUsage.rss(), elapsedMs: Math.round(performance.now() - started) }),
  );
  let outcome: FromProcess;
  try {
    const loaded = await pipeline;
    compiled ??= compile(loaded.pipeline).fingerprint;
    if (compiled !== fingerprint) throw planChanged(loaded, fingerprint);
    const ports = portsOf(own, secrets, spool, progress.tell);
    outcome = await underSpan(trace, () => outcomeOf(work, loaded.pipeline, ports));
  } catch (error) {
    outcome = { type: 'failed', error: failure(error) };
  }
  own[Symbol.dispose]();
  running = undefined;
  progress.flush();
  send(outcome);
}

async function outcomeOf(
  { job, help, look }: Extract<ToProcess, { type: 'run' }>,
  pipeline: Pipeline,
  ports: StagePorts,
): Promise<FromProcess> {
  if (look) return { type: 'looked', looked: plain(await lookStage(job, look, pipeline, ports)) };
  if (help) return { type: 'helped', splits: await helpStage(job, pipeline, ports) };
  if (job.stage.kind !== 'remote') return { type: 'succeeded', output: plain(await runStage(job, pipeline, ports)) };
  const begun = await beginStage(job, pipeline, ports);
  return begun.at === 'ended' ? { type: 'succeeded', output: plain(begun.output) } : { type: 'elsewhere', handle: plain(begun.handle) };
}

function portsOf(own: Running, secrets: Secrets, spool: string, progress: StagePorts['progress']): StagePorts {
  return {
    signal: own.signal,
    ending: own.ending,
    secret: async (ref, refused) => {
      const value = await secrets.get(ref, refused);
      send({ type: 'secret', value });
      return value;
    },
    now: () => new Date(),
    spool,
    log: {
      info: (message, facts) => log(secrets, 'info', message, facts),
      warn: (message, facts) => log(secrets, 'warn', message, facts),
    },
    progress,
    storePlan: async (read) => void (await ask({ type: 'plan', plan: plain(read) })),
    storePart: async (part) => void (await ask({ type: 'part', part: plain(part) })),
    forgetParts: async () => void (await ask({ type: 'forget-parts' })),
    streamRequests: async () => (await ask({ type: 'stream-requests' })) as readonly StreamRequest[],
    answerRequest: async (id, error) => void (await ask({ type: 'answer-request', id, error: error && redactError(error, secrets) })),
    remote: {
      intend: async () => (await ask({ type: 'intend-remote' })) as RemoteIntent,
      started: async (work, handle, firstLookMs) =>
        (await ask({ type: 'remote-started', work, handle: plain(handle), firstLookMs })) as RemoteHandle | null,
    },
    splits: {
      offer: async (splits) => void (await ask({ type: 'offer-splits', splits })),
      claim: async (most) => (await ask({ type: 'claim-splits', most })) as SplitClaims,
      store: async (claim, part) => void (await ask({ type: 'store-split', claim, part: plain(part) })),
      staged: async () => (await ask({ type: 'staged' })) as readonly StagedPart[],
    },
  };
}

/** Of the grace period, what a stage has for a good end before it is broken off, and can still close its connections. */
const gentleShare = 0.7;

/** The stage that runs, and how it is asked to end. */
class Running implements Disposable {
  readonly #stop = new AbortController();
  readonly #ending = new AbortController();
  readonly #gentle: boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor({ stage }: StageJob) {
    this.#gentle = stage.kind === 'changes';
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** A stream that nobody else has taken over has time to make durable what it has applied. */
  end({ reason, graceMs }: Extract<ToProcess, { type: 'stop' }>): void {
    const error = restoreError(reason);
    this.#ending.abort(error);
    const gently = this.#gentle && (reason.code === 'SHUTDOWN' || reason.code === 'RUN_CANCELLED');
    if (gently) this.#timer ??= setTimeout(() => this.#stop.abort(error), graceMs * gentleShare);
    else this.#stop.abort(error);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** As it will come back from the store: a schema may be a live table with functions in it. */
const plain = <T>(value: T): T => plainJson(value) as T;

let asked = 0;
let logsUnderway = 0;
const mostLogsUnderway = 5_000;

function ask(what: StoreRequest): Promise<unknown> {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    send({ type: 'store', id, what });
  });
}

function log(
  secrets: Secrets,
  level: 'info' | 'warn' | 'stdout' | 'stderr',
  message: string,
  facts: Readonly<Record<string, unknown>> = {},
): void {
  // A function that prints without end must not fill this process either: what the worker cannot take is left out.
  if (logsUnderway >= mostLogsUnderway) return;
  logsUnderway++;
  const line = { at: new Date().toISOString(), level, message: secrets.redact(message), facts: secrets.redactAll(facts) };
  process.send?.({ type: 'log', line } satisfies FromProcess, () => {
    logsUnderway--;
  });
}

/** An error that nobody awaits leaves the process in a state that nobody knows: it tells and goes. */
function crash(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const crashed = new MillraceError('STAGE_CRASHED', {
    message: `An error that nobody awaits has ended the stage: ${text}`,
    remedy: 'Await every promise that a function makes, and handle the errors of what it starts.',
    cause: error,
  });
  process.send?.({ type: 'failed', error: failure(crashed) } satisfies FromProcess, () => process.exit(1));
}

/** As the worker may store it: stack traces lead to the file that people wrote, and no secret is left in it. */
function failure(error: unknown): StoredError {
  const stored = storeFailure(error);
  const { stack, causes } = stored.facts as { stack?: unknown; causes?: unknown };
  const told = {
    ...stored,
    message: withOriginalPlaces(stored.message),
    facts: {
      ...stored.facts,
      ...(typeof stack === 'string' && { stack: withOriginalPlaces(stack) }),
      ...(Array.isArray(causes) && { causes: causes.map((cause) => withOriginalPlaces(String(cause))) }),
    },
  };
  return loading ? redactError(told, loading.secrets) : told;
}

function planChanged({ file, pipeline }: LoadedPipeline, fingerprint: string): MillraceError {
  return new MillraceError('PLAN_CHANGED', {
    message: `${file} is not the version of "${pipeline.name}" that this run was made from.`,
    remedy: 'Check out that version to go on with the run, or cancel it and start a new one.',
    facts: { file, fingerprint },
  });
}
