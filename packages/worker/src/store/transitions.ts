import {
  type Decision,
  evolve,
  isEnded,
  type Plan,
  type RunId,
  type RunRecord,
  type StoredEvent,
  type Transition,
} from '@millrace/core/runtime';
import type { Transaction } from 'kysely';
import type { StateConnection } from './connect.ts';
import { Notices } from './notices.ts';
import type { StateDatabase } from './schema.ts';
import { StoreClock } from './store-clock.ts';
import { freedLimits, type PlanOf, stored, transit } from './transition.ts';
import { writable } from './write.ts';
import { Writer } from './writer.ts';

type Trx = Transaction<StateDatabase>;
type Transact = (trx: Trx, known: RunRecord | undefined) => ReturnType<typeof transit>;

interface Wish {
  readonly decide: Decision;
  readonly resolve: (transition: Transition) => void;
  readonly reject: (error: unknown) => void;
}

/** What a wish comes to: the run after it, and the events. */
interface Answer extends Transition {
  readonly wish: Wish;
  readonly error?: unknown;
}

/** Runs that are remembered; those of most use, since each of them is being worked on. */
const remembered = 64;

/**
 * The changes of runs that this process makes. It remembers the runs as they were when it changed them last, decides from that, and
 * writes on the condition that nobody else has changed them since: one statement. Where somebody has, or where there seems to be nothing
 * to do, it decides again behind a lock. What is wished for a run while a change of it is on its way goes into the next one together.
 */
export class Transitions implements AsyncDisposable {
  readonly #connection: StateConnection;
  readonly #planOf: PlanOf;
  readonly #known = new Map<RunId, { readonly run: RunRecord; readonly at: Date }>();
  readonly #waiting = new Map<RunId, Wish[]>();
  readonly #clock = new StoreClock();
  readonly #notices: Notices;
  readonly #writer: Writer;

  constructor(connection: StateConnection, planOf: (db: Trx, fingerprint: string) => Promise<Plan>) {
    this.#connection = connection;
    this.#planOf = planOf;
    this.#writer = new Writer(connection.statement);
    connection.onBreak(() => this.#known.clear());
    this.#notices = new Notices((runs) => connection.statement("select pg_notify('millrace', run) from unnest($1::text[]) run", [runs]));
  }

  /** The run as it was when this process changed it last. */
  known(id: RunId): RunRecord | undefined {
    return this.#known.get(id)?.run;
  }

  make(id: RunId, decide: Decision): Promise<Transition> {
    return new Promise((resolve, reject) => {
      const wish: Wish = { decide, resolve, reject };
      const waiting = this.#waiting.get(id);
      if (waiting) return void waiting.push(wish);
      this.#waiting.set(id, [wish]);
      void this.#serve(id);
    });
  }

  /** One that needs more than the run to decide, behind the run's lock. */
  async within(id: RunId, transact: Transact): Promise<Transition> {
    const transition = await this.#connection.guard((db) => db.transaction().execute((trx) => transact(trx, this.known(id))));
    this.#remember(transition.run, transition.now);
    if (transition.events.length > 0) this.tell(id);
    return transition;
  }

  /** Others hear that the run has changed. */
  tell(id: RunId): void {
    this.#notices.tell(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#notices[Symbol.asyncDispose]();
  }

  async #serve(id: RunId): Promise<void> {
    for (let wishes = this.#waiting.get(id); wishes && wishes.length > 0; wishes = this.#waiting.get(id)) {
      this.#waiting.set(id, []);
      const left = await this.#atOnce(id, wishes);
      if (left.length > 0) await this.#locked(id, left);
    }
    this.#waiting.delete(id);
  }

  /** Answers the wishes that could not be granted from memory. */
  async #atOnce(id: RunId, wishes: readonly Wish[]): Promise<readonly Wish[]> {
    const known = this.#known.get(id);
    const now = known && this.#clock.now(known.at);
    if (!known || !now) return wishes;
    const answers = answersTo(wishes, known.run, now).filter(({ events }) => events.length > 0);
    const after = answers.at(-1)?.run;
    const events = answers.flatMap((answer) => answer.events);
    // The end of a run, and what had a share of a limit, concern other runs: see `transit`.
    if (!after || isEnded(after.state) || freedLimits(known.run, events).length > 0 || writable(events).length > 1) return wishes;
    try {
      const written = await this.#writer.write({ before: known.run, after, events });
      if (!written) return wishes;
      this.#remember(after, written);
    } catch {
      // Whether it was written nobody knows: the way behind the lock finds out, and says what is wrong.
      this.#known.clear();
      return wishes;
    }
    this.tell(id);
    const granted = new Set(answers.map(({ wish }) => wish));
    for (const { wish, run, events } of answers) wish.resolve({ run, events });
    return wishes.filter((wish) => !granted.has(wish));
  }

  async #locked(id: RunId, wishes: readonly Wish[]): Promise<void> {
    let answers: readonly Answer[] = [];
    try {
      await this.within(id, (trx, known) =>
        transit(
          trx,
          id,
          this.#planOf,
          (run, now) => {
            answers = answersTo(wishes, run, now);
            return answers.flatMap(({ events }) => events.map(({ event }) => event));
          },
          known,
        ),
      );
      for (const { wish, run, events, error } of answers) {
        if (error === undefined) wish.resolve({ run, events });
        else wish.reject(error);
      }
    } catch (error) {
      this.#known.delete(id);
      for (const { reject } of wishes) reject(error);
    }
  }

  #remember(run: RunRecord, now: Date): void {
    this.#clock.heard(now);
    const before = this.#known.get(run.id);
    if (before && before.run.seq > run.seq) return;
    this.#known.delete(run.id);
    if (isEnded(run.state)) return;
    this.#known.set(run.id, { run, at: now });
    if (this.#known.size > remembered) this.#known.delete(this.#known.keys().next().value as RunId);
  }
}

/** One after the other, each on what those before it have made of the run. */
function answersTo(wishes: readonly Wish[], before: RunRecord, now: Date): Answer[] {
  let run = before;
  return wishes.map((wish): Answer => {
    try {
      const events: StoredEvent[] = stored(run, wish.decide(run, now), now);
      run = evolve(run, events);
      return { wish, run, events };
    } catch (error) {
      return { wish, run, events: [], error };
    }
  });
}
