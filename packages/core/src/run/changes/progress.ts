import type { Context, Position, StreamHealth } from '../../connector/index.ts';
import type { StreamProgress, StreamTableState } from '../../state/index.ts';
import type { Meter } from '../meter.ts';

/** Milliseconds over which throughput is averaged. */
const speedOver = 5_000;

/** Keeps the figures of a stream and tells them to the meter. */
export class StreamMeter {
  readonly #meter: Meter;
  readonly #now: Context['now'];
  readonly #source: string;
  readonly #tables: Map<string, StreamTableState>;
  readonly #sinks = new Map<string, { object: string; position: Position | null; deadLetters: number }>();
  #slot: string | null = null;
  #health: StreamHealth | null = null;
  #transactions = 0;
  #changes = 0;
  #lagMs: number | null = null;
  #speed = { since: performance.now(), from: 0, perSecond: 0 };

  constructor(meter: Meter, now: Context['now'], source: string, tables: readonly string[]) {
    this.#meter = meter;
    this.#now = now;
    this.#source = source;
    this.#tables = new Map(tables.map((table) => [table, { at: 'waiting' }]));
  }

  slot(slot: string): void {
    this.#slot = slot;
    this.#tell();
  }

  sink(name: string, object: string, position: Position | null, deadLetters: number): void {
    this.#sinks.set(name, { object, position, deadLetters });
    this.#tell();
  }

  reached(name: string, position: Position): void {
    const sink = this.#sinks.get(name);
    if (sink) sink.position = position;
  }

  table(name: string, state: StreamTableState): void {
    this.#tables.set(name, state);
    this.#tell();
  }

  stateOf(name: string): StreamTableState | undefined {
    return this.#tables.get(name);
  }

  health(health: StreamHealth): void {
    this.#health = health;
    this.#tell();
  }

  /** `lastCommit` is null for a group that only moves the position: then nothing waits. */
  applied(transactions: number, changes: number, lastCommit: string | null): void {
    this.#transactions += transactions;
    this.#changes += changes;
    this.#lagMs = lastCommit === null ? 0 : Math.max(0, this.#now().getTime() - Date.parse(lastCommit));
    this.#tell();
  }

  get progress(): StreamProgress {
    const positions = [...this.#sinks.values()].map(({ position }) => position);
    return {
      source: this.#source,
      slot: this.#slot,
      tables: Object.fromEntries(this.#tables),
      sinks: [...this.#sinks].map(([name, { object, position, deadLetters }]) => ({ name, object, position, deadLetters })),
      position: positions.includes(null) ? null : ((positions as Position[]).sort()[0] ?? null),
      transactions: this.#transactions,
      changes: this.#changes,
      changesPerSecond: this.#perSecond(),
      lagMs: this.#lagMs,
      health: this.#health,
      at: this.#now().toISOString(),
    };
  }

  #perSecond(): number {
    const elapsed = performance.now() - this.#speed.since;
    if (elapsed >= speedOver) {
      this.#speed = {
        since: performance.now(),
        from: this.#changes,
        perSecond: Math.round(((this.#changes - this.#speed.from) * 1000) / elapsed),
      };
    }
    return this.#speed.perSecond;
  }

  #tell(): void {
    this.#meter.follow(this.progress);
  }
}
