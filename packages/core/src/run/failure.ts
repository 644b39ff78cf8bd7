import { isMillraceError, MillraceError, type StoredError, storeError } from '../error/index.ts';
import { plainJson } from '../plan/index.ts';

/** An error as it is stored with a run: plain JSON, with what lay behind it as text, outermost first. */
export function storeFailure(error: unknown): StoredError {
  const stored = storeError(error);
  const causes = causesOf(error);
  return { ...stored, facts: plainJson({ ...stored.facts, ...(causes.length > 0 && { causes }) }) as StoredError['facts'] };
}

function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  const seen = new Set<unknown>([error]);
  for (let cause = (error as { cause?: unknown } | null)?.cause; cause !== undefined && cause !== null && !seen.has(cause); ) {
    seen.add(cause);
    const code = (cause as { code?: unknown }).code;
    const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    causes.push(typeof code === 'string' && !text.includes(code) ? `${text} (${code})` : text);
    cause = (cause as { cause?: unknown }).cause;
  }
  return causes;
}

/** Where in the pipeline it went wrong. The error keeps its code, its remedy and its cause; one without a code is the function's. */
export function atStep(
  error: unknown,
  step: string,
  where: { readonly split: string; readonly ordinal?: number; readonly row?: string },
): MillraceError {
  const place = where.ordinal === undefined ? `split ${where.split}` : `row ${where.ordinal} of split ${where.split}`;
  const row = where.row === undefined ? undefined : cut(where.row, 2000);
  const facts = {
    step,
    split: where.split,
    ...(where.ordinal !== undefined && { ordinal: where.ordinal }),
    ...(row !== undefined && { row }),
  };
  if (isMillraceError(error)) {
    if (error.facts['step'] !== undefined) return error;
    const message = `Step "${step}", ${place}: ${error.message}`;
    return new MillraceError(error.code, {
      message,
      remedy: error.remedy,
      facts: { ...error.facts, ...facts },
      cause: error.cause ?? error,
    });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new MillraceError('FUNCTION_FAILED', {
    message: `Step "${step}", ${place}: ${message}${row === undefined ? '' : `\n  row: ${cut(row, 300)}`}`,
    remedy: 'Mend the function, or set such rows aside with onBadRow: { quarantine: … }.',
    facts: { ...facts, stack: error instanceof Error ? error.stack : undefined },
    cause: error,
  });
}

const cut = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length)}…` : text);
