import { type Link, type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import type { AttemptEnded, AttemptRef, AttemptStarted, RunEnded } from './happenings.ts';

/** Where other processes find the spans of attempts. */
export interface TraceLedger {
  store(run: string, stage: string, epoch: number, traceparent: string): Promise<void>;
  find(run: string, stages: readonly string[] | null): Promise<readonly { stage: string; epoch: number; traceparent: string }[]>;
}

/** Attempts whose spans are open at one time: more than a worker can run. */
const mostOpen = 10_000;

/**
 * A span for each attempt at a stage and for each run. They are no tree: attempts are made by many processes, and a stream runs for
 * weeks. Each span is the root of its own trace and has links instead: an attempt to those it builds on and to earlier ones at the
 * same stage, a run to all its attempts. Without an SDK, or where the sampler leaves a span out, nothing is stored or looked up.
 */
export class Traces {
  readonly #tracer: Tracer;
  readonly #ledger: TraceLedger;
  readonly #open = new Map<string, Span>();
  readonly #pending = new Set<Promise<void>>();

  constructor(tracer: Tracer, ledger: TraceLedger) {
    this.#tracer = tracer;
    this.#ledger = ledger;
  }

  started(attempt: AttemptStarted): void {
    if (this.#open.size >= mostOpen) return;
    const { run, pipeline, stage, epoch, worker, needs } = attempt;
    const attributes = {
      ...attributesOf(attempt),
      'millrace.stage': stage,
      'millrace.epoch': epoch,
      'millrace.attempt': attempt.attempt,
      'millrace.worker': worker,
    };
    const span = this.#tracer.startSpan(`stage ${pipeline} ${stage}`, { root: true, kind: SpanKind.CONSUMER, attributes });
    if (!span.isRecording()) return;
    this.#open.set(keyOf(attempt), span);
    this.#later(async () => {
      for (const link of await this.#links(run, [...needs, stage])) span.addLink(link);
      await this.#ledger.store(run, stage, epoch, traceparent(span));
    });
  }

  /** Of an attempt that this process makes: what its code traces hangs under it. */
  of(attempt: Pick<AttemptRef, 'run' | 'stage' | 'epoch'>): string | null {
    const span = this.#open.get(keyOf(attempt));
    return span ? traceparent(span) : null;
  }

  ended(attempt: AttemptEnded): void {
    const { result, error, rows, bytes } = attempt;
    this.#end(attempt, (span) => {
      span.setAttributes({ 'millrace.result': result, 'millrace.rows': rows, 'millrace.bytes': bytes });
      if (error) span.setAttribute('error.type', error.code);
      if (result === 'failed' || result === 'retrying' || result === 'lost')
        span.setStatus({ code: SpanStatusCode.ERROR, message: error?.message ?? 'The worker was not heard of any more.' });
    });
  }

  /** Another process has it now. */
  lost(attempt: Omit<AttemptRef, 'pipeline'>): void {
    this.#end(attempt, (span) => {
      span.setAttribute('millrace.result', 'lost');
      span.setStatus({ code: SpanStatusCode.ERROR, message: 'The lease was lost: another attempt goes on.' });
    });
  }

  runEnded(ended: RunEnded): void {
    const { run, pipeline, result, durationMs, error } = ended;
    const endTime = Date.now();
    const probe = this.#tracer.startSpan(`run ${pipeline}`, {
      root: true,
      startTime: endTime - durationMs,
      attributes: { ...attributesOf(ended), 'millrace.result': result },
    });
    if (!probe.isRecording()) return;
    if (error) probe.setAttribute('error.type', error.code);
    if (result === 'failed' || result === 'partial') probe.setStatus({ code: SpanStatusCode.ERROR, message: error?.message ?? result });
    const before = [...this.#pending];
    this.#later(async () => {
      await Promise.allSettled(before);
      try {
        for (const link of await this.#links(run, null)) probe.addLink(link);
      } finally {
        probe.end(endTime);
      }
    });
  }

  /** What is open ends: the process does. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#pending);
    for (const span of this.#open.values()) span.end();
    this.#open.clear();
  }

  async #links(run: string, stages: readonly string[] | null): Promise<Link[]> {
    return (await this.#ledger.find(run, stages)).flatMap(({ stage, epoch, traceparent: text }): Link[] => {
      const [, traceId, spanId, flags] = text.split('-');
      if (!traceId || !spanId) return [];
      const context = { traceId, spanId, traceFlags: Number.parseInt(flags ?? '0', 16), isRemote: true };
      return [{ context, attributes: { 'millrace.stage': stage, 'millrace.epoch': epoch } }];
    });
  }

  #end(attempt: Omit<AttemptRef, 'pipeline'>, finish: (span: Span) => void): void {
    const span = this.#open.get(keyOf(attempt));
    if (!span) return;
    this.#open.delete(keyOf(attempt));
    finish(span);
    // Links that are still being looked up could not be added afterwards.
    const before = [...this.#pending];
    const at = Date.now();
    if (before.length === 0) span.end(at);
    else this.#later(() => Promise.allSettled(before).then(() => span.end(at)));
  }

  /** Nobody waits for it, and a store that is away costs links only. */
  #later(work: () => Promise<unknown>): void {
    const done = work().then(
      () => {},
      () => {},
    );
    this.#pending.add(done);
    void done.finally(() => this.#pending.delete(done));
  }
}

const attributesOf = ({ run, pipeline }: { run: string; pipeline: string }) => ({ 'millrace.run': run, 'millrace.pipeline': pipeline });

const keyOf = ({ run, stage, epoch }: { run: string; stage: string; epoch: number }): string => JSON.stringify([run, stage, epoch]);

function traceparent(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}
