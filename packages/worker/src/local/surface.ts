import type { Context, Log, Pipeline, SecretRef } from '@millrace/core/runtime';

/** `loadPipeline(file): Promise<LoadedPipeline>` imports a pipeline file, TypeScript or JavaScript. @throws PIPELINE_NOT_FOUND, PIPELINE_INVALID */
export interface LoadedPipeline {
  /** Absolute. */
  readonly file: string;
  readonly pipeline: Pipeline;
  /** Steps that the file has made and no pipeline lists, one line each: a step that was forgotten in `steps`. */
  readonly unlisted: readonly string[];
}

/** `environmentSecrets({ directory, sources }): Secrets` looks names up where the environment says. */
export interface Secrets {
  /** @throws SECRET_MISSING */
  get(ref: SecretRef): Promise<string>;
  /** The text with every secret that was looked up so far, and every password in a URL, replaced by `***`. */
  redact(text: string): string;
}

/** `outsideContext(options): Context` is a context for connectors outside any run: `doctor`, `introspect`, `verify`. */
export interface OutsideContextOptions {
  readonly secrets: Secrets;
  readonly signal: AbortSignal;
  /** Where temporary files go; the caller removes it. */
  readonly spool: string;
  readonly log?: Log;
  readonly progress?: Context['progress'];
}
