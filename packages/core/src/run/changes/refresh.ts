import type { StagedPart, StreamIdentity } from '../../connector/index.ts';
import type { EarlierAttempt } from '../../state/index.ts';

/**
 * A run that was asked for everything anew begins anew once, and not with each of its attempts: so the first one leaves a note, as a part,
 * of the stream that it has made and of the tables that readers relied on at each sink.
 */
export interface RefreshNote {
  readonly identity: StreamIdentity;
  /** Tables that were there before, by sink: they are copied beside what readers see. */
  readonly reliedOn: Readonly<Record<string, readonly string[]>>;
}

const split = 'full-refresh';

export const refreshPart = (note: RefreshNote): StagedPart => ({ split, rows: 0, bytes: 0, detail: { ...note } });

export function refreshNote({ parts }: EarlierAttempt): RefreshNote | null {
  const part = parts.find((one) => one.split === split);
  return part ? (part.detail as unknown as RefreshNote) : null;
}
