/** https://www.w3.org/TR/trace-context/#traceparent-header */
const form = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/**
 * Does the work so that spans which its code makes are children of this one, which another process has begun. It is OpenTelemetry's
 * context manager that carries it along: without an SDK in this process nothing is traced, and nothing is loaded without a span.
 */
export async function underSpan<T>(traceparent: string | null, work: () => Promise<T>): Promise<T> {
  const [, traceId, spanId, flags] = form.exec(traceparent ?? '') ?? [];
  if (!traceId || !spanId) return work();
  const { context, ROOT_CONTEXT, trace } = await import('@opentelemetry/api');
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags ?? '0', 16), isRemote: true };
  return context.with(trace.setSpanContext(ROOT_CONTEXT, parent), work);
}
