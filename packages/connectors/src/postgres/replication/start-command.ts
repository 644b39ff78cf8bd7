import { MillraceError } from '@millrace/core/runtime';
import { quoteIdentifier } from '../identifier.ts';
import { literal } from '../literal.ts';
import { formatLsn } from './lsn.ts';
import { slotName } from './slot.ts';

export interface StreamOptions {
  readonly publications: readonly string[];
  /** Values in their binary form where the type has one. False by default: text is as quick for the server and the same everywhere. */
  readonly binary?: boolean;
  /** Transactions come while they are open, above the server's `logical_decoding_work_mem`. True by default; needs 14. */
  readonly streaming?: boolean;
  /** What pg_logical_emit_message writes comes too. True by default; needs 14. */
  readonly messages?: boolean;
  /** `none` leaves out what replication brought to the source. `any` by default; needs 16. */
  readonly origin?: 'any' | 'none';
  /** Transactions come when they are prepared, not when they commit. False by default; needs 15. */
  readonly twoPhase?: boolean;
}

/**
 * START_REPLICATION with what the server's version knows. Options that a version lacks are left out where that loses nothing
 * (`streaming`: the transaction comes when it commits) and refused where it would.
 *
 * @throws UNSUPPORTED, IDENTIFIER_INVALID
 */
export function startCommand(version: number, slot: string, from: bigint, options: StreamOptions): string {
  const { publications, binary = false, streaming = true, messages = true, origin = 'any', twoPhase = false } = options;
  if (publications.length === 0) throw refused('A stream without a publication has no tables', 'Name at least one publication.');
  if (binary && version < 140_000) throw tooOld('values in binary form', 14);
  if (twoPhase && version < 150_000) throw tooOld('two-phase transactions', 15);
  if (origin === 'none' && version < 160_000) throw tooOld('a choice of origins', 16);
  const all: [name: string, value: string][] = [
    ['proto_version', version >= 160_000 ? '4' : version >= 150_000 ? '3' : version >= 140_000 ? '2' : '1'],
    ['publication_names', publications.map(quoteIdentifier).join(',')],
  ];
  if (binary) all.push(['binary', 'true']);
  if (streaming && version >= 140_000) all.push(['streaming', 'on']);
  if (messages && version >= 140_000) all.push(['messages', 'true']);
  if (twoPhase) all.push(['two_phase', 'on']);
  if (origin === 'none') all.push(['origin', 'none']);
  const list = all.map(([name, value]) => `${name} ${literal(value)}`).join(', ');
  return `START_REPLICATION SLOT ${quoteIdentifier(slotName(slot))} LOGICAL ${formatLsn(from)} (${list})`;
}

const tooOld = (what: string, major: number): MillraceError =>
  refused(`This server has no ${what} in its change stream`, `Leave the option out, or use PostgreSQL ${major} or newer.`);

const refused = (message: string, remedy: string): MillraceError => new MillraceError('UNSUPPORTED', { message: `${message}.`, remedy });
