import type { StoredError } from '../error/index.ts';
import type { StageProgress } from './progress.ts';

/** `millrace resync <pipeline> --table t`: copies tables again while the stream goes on. */
export interface StreamRequest {
  readonly id: string;
  readonly kind: 'resync';
  readonly tables: readonly string[];
}

/** A stream is known by its pipeline and its capture step, whichever run follows it. */
export interface StreamKey {
  readonly pipeline: string;
  readonly step: string;
}

/** A request as the store keeps it, until it is answered and after. */
export interface StoredStreamRequest extends StreamRequest, StreamKey {
  readonly requestedAt: string;
  /** Null while it is open. */
  readonly answeredAt: string | null;
  /** Why it could not be done. */
  readonly error: StoredError | null;
}

/** What was last heard of a stream, also where nobody follows it any more. */
export interface StoredStream extends StreamKey {
  /** By the store's clock. */
  readonly at: string;
  readonly progress: StageProgress;
}
