import type { ChangeSink, Position, SinkState } from '../../connector/index.ts';
import type { Branch } from './branches.ts';
import type { ChangeTransforms } from './transform.ts';

/** A sink, and where it is. */
export interface Following {
  readonly branch: Branch;
  readonly sink: ChangeSink;
  readonly transforms: ChangeTransforms;
  /** As it was taken over. */
  readonly state: SinkState;
  /** Everything before it has been applied. */
  position: Position | null;
  /** Everything before it is durable. */
  durable: Position | null;
  readonly copied: Map<string, Position>;
}
