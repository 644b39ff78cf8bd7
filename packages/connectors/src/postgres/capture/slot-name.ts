import { createHash } from 'node:crypto';
import type { StreamName } from '@millrace/core/runtime';
import { lsnKey } from '../replication/lsn.ts';

/** Names of slots have 63 characters at most, of `a-z0-9_`. */
const longest = 63;
const prefix = 'millrace_';
/** Digits of base 36 that hold every epoch. */
const epochDigits = 11;
/** An underscore and the 16 hex digits of where the stream began, another and the epoch of the attempt that made it. */
const tailLength = 17 + 1 + epochDigits;

/**
 * What the slots of a stream are called, up to how each began: `millrace_shop_mirror__changes` of `shop-mirror`. Two streams never share a name:
 * a part with other characters in it, or one that was cut, ends with a hash of the whole.
 */
export function slotPrefix({ pipeline, step }: StreamName): string {
  const name = `${prefix}${plain(pipeline)}__${plain(step)}`;
  const room = longest - tailLength;
  return name.length <= room ? name : `${name.slice(0, room - 9)}_${hash(`${pipeline}\0${step}`)}`;
}

/** The publication is named as the slots are, without where they began: it outlives them. */
export const publicationName: (stream: StreamName) => string = slotPrefix;

/**
 * A slot's name holds the LSN at which it was asked for, since a server does not remember where a slot began. So a slot that we make anew is
 * another one by its name, and no position of the old one can be taken for one of the new. A slot that somebody else drops and makes again
 * under the same name is told by `confirmed_flush_lsn`: a new slot begins after everything written so far, so it is past every position that
 * a sink can have, unless nothing was written in between; and then it holds all that comes after that position, as the old one did.
 *
 * It holds the epoch as well, so that the server itself remembers which attempt was the last to begin the stream: an older one that wakes up
 * finds it there, and leaves it alone.
 */
export const slotName = (slots: string, { origin, epoch }: SlotBirth): string =>
  `${slots}_${lsnKey(origin).toLowerCase()}_${epoch.toString(36).padStart(epochDigits, '0')}`;

export interface SlotBirth {
  /** LSN at which the slot was asked for. */
  readonly origin: bigint;
  /** Of the attempt that made it. */
  readonly epoch: number;
}

/** What `slotName` put there; null for a slot of another stream. */
export function slotBirth(slots: string, slot: string): SlotBirth | null {
  const tail = slot.startsWith(`${slots}_`) ? slot.slice(slots.length + 1) : '';
  const [, origin, epoch] = /^([0-9a-f]{16})_([0-9a-z]{11})$/.exec(tail) ?? [];
  return origin === undefined || epoch === undefined ? null : { origin: BigInt(`0x${origin}`), epoch: Number.parseInt(epoch, 36) };
}

function plain(text: string): string {
  // As pipelines are named. No hyphens together and none at the ends, so that the two parts cannot be read in two ways.
  if (/^[a-z0-9]+(-[a-z0-9]+)*$/.test(text)) return text.replaceAll('-', '_');
  const kept = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .slice(0, 20);
  return `${kept}_${hash(text)}`.replace(/^_/, '');
}

const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);
