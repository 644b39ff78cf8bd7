import { type Fence, MillraceError, type Position } from '@millrace/core/runtime';
import type { RedisClient } from './client.ts';
import { type Bounds, type Command, pack, portions } from './command.ts';
import { passing } from './failpoints.ts';
import { fenced, lost, noSortedSet } from './failure.ts';
import { act, type Script, takeOver, takeSlot, workOff } from './script.ts';
import { SlotFences, slotsOf } from './slot-fences.ts';

/** What is done in one act at most: for so long Redis does nothing else, some hundredths of a second. */
const oneAct: Bounds = { commands: 10_000, bytes: 8 * 1024 * 1024 };
/** What is sent at once while rows are staged: other clients come in between. */
const onePortion: Bounds = { commands: 1_000, bytes: 1024 * 1024 };

export interface HoldOf {
  /** The key of what is remembered: fields of a hash. */
  readonly state: string;
  /** For messages: `shop/mirrored`. */
  readonly owner: string;
  readonly fence: Fence;
  /** Sorts as the runs of a pipeline do; where all attempts have the same fence it may be empty. */
  readonly at: string;
  /** True where keys are spread over the slots of a cluster, so that no act can hold them all. */
  readonly spread: boolean;
}

/*
 * What one attempt may write, and how it becomes true.
 *
 *   small    one script: fence, place in the stream, commands, new place         nobody sees half of it
 *   large    commands are put into a log ─▶ the log is promised ─▶ worked off    whoever holds the state next works it off first
 *
 * The log is promised by the act on the state that also moves the place; before it nothing has been done, after it nothing can be left out. Commands say what a key is to
 * be, never what is to be added to it, so that one that was worked off twice changes nothing. In a cluster whose keys are spread over its
 * slots every act is a large one, and each slot has a fence of its own, since a script sees the keys of one slot only. A slot
 * whose fence is gone or older than the last takeover has lost its keys: then all is forgotten, and copied again.
 */
export class Hold {
  readonly #client: RedisClient;
  readonly #of: HoldOf;
  readonly #holder: string;
  readonly #fences: SlotFences;
  #fields: ReadonlyMap<string, string>;
  /** True where some of what is to be committed stands in the log already. */
  #isLogged = false;
  #last: Promise<void> = Promise.resolve();

  private constructor(client: RedisClient, of: HoldOf, holder: string) {
    this.#client = client;
    this.#of = of;
    this.#holder = holder;
    this.#fences = new SlotFences(of.state, (fence, words) => this.#run(takeSlot, [fence], [...words, holder]));
    this.#fields = new Map();
  }

  /** Fences every earlier attempt off, and brings to its end what it had promised. @throws ATTEMPT_FENCED */
  static async take(client: RedisClient, of: HoldOf): Promise<Hold> {
    const hold = new Hold(client, of, `${of.fence.key}#${of.fence.epoch}`);
    const [, fields] = (await hold.#run(takeOver, [of.state], [of.fence.key, String(of.fence.epoch), of.at, hold.#holder])) as [
      string,
      string[],
    ];
    hold.#fields = new Map(pairs(fields));
    if (of.spread) await hold.#takeSlots();
    passing('redis.taken');
    if (hold.field('promised') !== null) await hold.#workOff();
    await hold.note([['UNLINK', hold.#log, hold.spill]]);
    return hold;
  }

  get state(): string {
    return this.#of.state;
  }

  get epoch(): number {
    return this.#of.fence.epoch;
  }

  get client(): RedisClient {
    return this.#client;
  }

  /** As it was when the state was taken over. */
  field(name: string): string | null {
    return this.#fields.get(name) ?? null;
  }

  get fields(): ReadonlyMap<string, string> {
    return this.#fields;
  }

  /** Writes that nobody relies on yet, portion by portion. @throws ATTEMPT_FENCED, CACHE_LOST */
  async put(commands: Iterable<Command> | AsyncIterable<Command>): Promise<void> {
    for await (const portion of portions(commands, onePortion)) {
      this.#of.spread ? await this.#bySlot(portion) : await this.#act([portion]);
    }
  }

  /** Writes to the state alone, in one act. */
  async note(commands: readonly Command[], expected: Position | null = null): Promise<void> {
    await this.#act([commands], expected);
  }

  /** Where what is not committed yet may be kept. Empty when a state is taken over. */
  get spill(): string {
    return `${this.state}:spill`;
  }

  /** Nothing of what was written down for a commit counts. */
  discard(): void {
    this.#isLogged = false;
  }

  /** Writes down what the next commit begins with. */
  async ahead(commands: AsyncIterable<Command>, expected: Position | null = null): Promise<void> {
    if (!this.#isLogged) await this.note([['DEL', this.#log]], expected);
    this.#isLogged = true;
    for await (const part of portions(commands, oneAct)) await this.#enter(part);
  }

  /**
   * All of the commands, and what they settle in the state, in one act as far as that is possible; whatever happens, all of them or none.
   * `expected` is where in the stream the state must be.
   *
   * @throws ATTEMPT_FENCED, CACHE_LOST
   */
  commit(commands: AsyncIterable<Command>, settling: readonly Command[], expected: Position | null = null): Promise<void> {
    // One after the other: there is one log.
    const mine = this.#last.then(() => this.#commit(commands, settling, expected));
    this.#last = mine.catch(() => {});
    return mine;
  }

  async #commit(commands: AsyncIterable<Command>, settling: readonly Command[], expected: Position | null): Promise<void> {
    const parts = portions(commands, oneAct);
    const first = await parts.next();
    const second = first.done ? first : await parts.next();
    if (!this.#isLogged && second.done && (first.done || !this.#of.spread)) {
      passing('redis.act.before');
      await this.#act([...(first.done ? [] : [first.value]), settling], expected);
      passing('redis.act.after');
      return;
    }
    if (!this.#isLogged) await this.note([['DEL', this.#log]], expected);
    if (!first.done) await this.#enter(first.value);
    if (!second.done) await this.#enter(second.value);
    for await (const part of parts) await this.#enter(part);
    await this.#append('', [['HDEL', this.state, 'promised']]);
    this.#isLogged = false;
    passing('redis.promise.before');
    await this.note([...settling, ['HSET', this.state, 'promised', '1']], expected);
    passing('redis.promise.after');
    await this.#workOff();
  }

  get #log(): string {
    return `${this.state}:log`;
  }

  async #takeSlots(): Promise<void> {
    const turn = this.field('turn') ?? '0';
    if (!(await this.#fences.take(turn, this.field('slots') ?? '0'))) {
      await this.#forget();
      await this.#fences.take(turn, '0');
    }
    await this.note([['HSET', this.state, 'slots', turn]]);
  }

  /** What it knows of keys that are not all there; that they are its own stays known. */
  async #forget(): Promise<void> {
    const gone = [...this.#fields.keys()].filter((name) => !/^(fence|epoch|at|holder|turn|begun:.*)$/.test(name));
    if (gone.length > 0) await this.note([['HDEL', this.state, ...gone]]);
    this.#fields = new Map([...this.#fields].filter(([name]) => !gone.includes(name)));
  }

  async #enter(commands: readonly Command[]): Promise<void> {
    await this.#assertSets(commands);
    if (!this.#of.spread) return this.#append('', commands);
    for (const [slot, some] of slotsOf(commands)) await this.#append(this.#fences.of(slot), some);
  }

  /** What is promised must be possible. @throws CHANGE_REFUSED */
  async #assertSets(commands: readonly Command[]): Promise<void> {
    const sets = [...new Set(commands.flatMap(([name, key]) => (name === 'ZADD' ? [key] : [])))];
    const kinds = await Promise.all(sets.map((set) => this.#client.ask('TYPE', set)));
    const other = sets.find((_, place) => kinds[place] !== 'zset' && kinds[place] !== 'none');
    if (other !== undefined) throw noSortedSet(other, this.#client.place);
  }

  /** An entry of the log is where it is to be done, nothing for the state's own slot, and what. */
  async #append(fence: string, commands: readonly Command[]): Promise<void> {
    const entry = pack(commands);
    await this.note([['RPUSH', this.#log, ...(this.#of.spread ? [fence, entry] : [entry])]]);
  }

  async #workOff(): Promise<void> {
    if (this.#of.spread) return this.#workOffSpread();
    for (let left = 1; left > 0; ) {
      const [, count] = (await this.#run(workOff, [this.state, this.#log], [this.#holder])) as [string, number];
      left = count;
      passing('redis.log.worked');
    }
  }

  async #workOffSpread(): Promise<void> {
    for (;;) {
      const [fence, entry] = (await this.#client.askBytes('LRANGE', this.#log, '0', '1')) as [Buffer?, Buffer?];
      if (!fence || !entry) return;
      const done: Command = ['LTRIM', this.#log, '2', '-1'];
      if (fence.length > 0) {
        await this.#run(act, [fence.toString()], [this.#holder, '', entry]);
        await this.note([done]);
      } else {
        await this.#run(act, [this.state], [this.#holder, '', entry, pack([done])]);
      }
      passing('redis.log.worked');
    }
  }

  async #bySlot(commands: readonly Command[]): Promise<void> {
    await Promise.all(slotsOf(commands).map(([slot, some]) => this.#run(act, [this.#fences.of(slot)], [this.#holder, '', pack(some)])));
  }

  async #act(commands: readonly (readonly Command[])[], expected: Position | null = null): Promise<void> {
    await this.#run(act, [this.state], [this.#holder, expected ?? '', ...commands.map(pack)]);
  }

  async #run(script: Script, keys: readonly string[], words: readonly (string | Buffer)[]): Promise<[string, ...unknown[]]> {
    const answer = (await this.#client.run(script, keys, words)) as [string, ...unknown[]];
    const [said, what] = answer;
    switch (said) {
      case 'OK':
      case 'GONE':
        return answer;
      case 'FENCED':
        throw fenced(this.#of.owner, String(what));
      case 'LOST':
        throw lost(this.#of.owner, this.#client.place, 'does not remember');
      case 'MOVED':
        throw lost(this.#of.owner, this.#client.place, 'has lost some of');
      case 'KIND':
        throw noSortedSet(String(what), this.#client.place);
      default:
        throw new MillraceError('INTERNAL', { message: `A script answered "${said}".`, remedy: 'Please report it.' });
    }
  }
}

function* pairs(words: readonly string[]): Generator<[string, string]> {
  for (let at = 0; at + 1 < words.length; at += 2) yield [words[at]!, words[at + 1]!];
}
