import { type Kysely, sql } from 'kysely';
import type { StateDatabase } from '../store/schema.ts';
import type { Answer } from './endpoints.ts';
import { within } from './recent.ts';

export interface HealthOptions {
  /** What must hold before this process is ready, by name. */
  readonly ready: Readonly<Record<string, () => boolean | Promise<boolean>>>;
  /** Without a turn of the main loop for so long it counts as hung. */
  readonly silenceMs: number;
}

export interface Health {
  turned(): void;
  draining(): void;
  readonly paths: Readonly<Record<'/health' | '/ready', () => Promise<Answer>>>;
}

const ok: Answer = { status: 200, body: 'ok\n' };

/**
 * `/health` asks nobody, so that a store that is away ends no process; while the process drains it is what ends it that decides how long
 * it may take. `/ready` asks everybody.
 */
export function healthOf({ ready, silenceMs }: HealthOptions): Health {
  /** By this process' clock; null before the first turn. */
  let turn: number | null = null;
  let draining = false;
  return {
    turned() {
      turn = performance.now();
    },
    draining() {
      draining = true;
    },
    paths: {
      '/health': async () => {
        const silent = turn === null ? 0 : performance.now() - turn;
        if (silent < silenceMs || draining) return ok;
        return { status: 503, body: `the main loop has not turned for ${Math.round(silent / 1_000)} s\n` };
      },
      '/ready': async () => {
        if (draining) return { status: 503, body: 'draining\n' };
        const asked = Object.entries(ready);
        const held = await Promise.all(asked.map(([, holds]) => within(2_000, async () => holds()).catch(() => false)));
        const missing = asked.flatMap(([name], i) => (held[i] ? [] : [name]));
        return missing.length === 0 ? ok : { status: 503, body: `not there: ${missing.join(', ')}\n` };
      },
    },
  };
}

/** True where the state database answers. */
export async function answers(db: Kysely<StateDatabase>): Promise<boolean> {
  await sql`select 1`.execute(db);
  return true;
}
