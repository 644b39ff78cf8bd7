import type { Json } from '@millrace/core/runtime';
import { describe, expect, test } from 'vitest';
import { remotes } from '../../test/everything.ts';
import { type Asked, failure, interpret } from '../../test/interpreter.ts';
import { planOf, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';

const kinds = {
  dms: {
    list: 'ReplicationTasks',
    type: 'MigrationType',
    stats: 'ReplicationTaskStats',
    start: 'startReplicationTask',
    typed: 'StartReplicationTaskType',
  },
  serverless: {
    list: 'Replications',
    type: 'ReplicationType',
    stats: 'ReplicationStats',
    start: 'startReplication',
    typed: 'StartReplicationType',
  },
} as const;

interface Told {
  readonly Status: string;
  readonly type?: string;
  readonly StopReason?: string;
  readonly stats?: Readonly<Record<string, Json>>;
}

const at = (hour: number): string => `2026-03-29T0${hour}:00:00Z`;
const whole = { FullLoadProgressPercent: 100, TablesLoading: 0, TablesQueued: 0, TablesErrored: 0 };
const ready: Told = { Status: 'ready' };
const running = (hour: number): Told => ({
  Status: 'running',
  stats: { StartDate: at(hour), FullLoadProgressPercent: 50, TablesLoading: 1, TablesQueued: 0 },
});
const ended = (hour: number, more: Partial<Told> = {}): Told => ({
  Status: 'stopped',
  StopReason: 'Stop Reason FULL_LOAD_ONLY_FINISHED',
  stats: { ...whole, StartDate: at(hour), StopDate: at(hour + 1) },
  ...more,
});

/** DMS with one replication: what it tells, from one look to the next once it is started, and how it was started. */
class Dms {
  readonly asked: string[] = [];
  readonly starts: string[] = [];
  readonly #name: keyof typeof kinds;
  #told: Told | null;
  readonly #life: Told[];
  #tags: Json = [];
  /** Before it does what it is asked for the n-th time, or after that. */
  dies: { readonly at: number; readonly done: boolean } | null = null;
  /** Instead of the next start. */
  meanwhile: (() => void) | null = null;

  constructor(told: Told | null, life: readonly Told[], name: keyof typeof kinds = 'dms') {
    this.#told = told;
    this.#life = [...life];
    this.#name = name;
  }

  get runs(): boolean {
    return this.#told !== null && !['ready', 'created', 'stopped', 'failed'].includes(this.#told.Status);
  }

  begin(): void {
    this.#told = this.#life.shift() ?? this.#told;
  }

  /** One execution of a run with this one stage. */
  async run(name = 'run-1'): Promise<string | null> {
    const machines = compileStateMachines(
      planOf([{ id: this.#name }], { steps: remotes.filter((step) => step.name === this.#name) }),
      settings,
    );
    this.asked.length = 0;
    const { error, cause } = await interpret(machines, (asked) => this.#answer(asked), {}, name);
    return error === null ? null : JSON.parse(cause).error;
  }

  #answer({ call, parameters }: Asked): Json {
    const name = call.split(':').at(-1) ?? '';
    this.asked.push(name);
    const dies = this.dies?.at === this.asked.length ? this.dies : null;
    if (dies && !dies.done) throw failure('Died');
    const answer = this.#do(name, parameters);
    if (dies) throw failure('Died');
    return answer;
  }

  #do(name: string, parameters: Asked['parameters']): Json {
    const { list, type: typed, stats: counted, start, typed: asked } = kinds[this.#name];
    if (name === 'listTagsForResource') return { TagList: this.#tags };
    if (name === 'addTagsToResource') {
      this.#tags = parameters['Tags'] as unknown as Json;
      return {};
    }
    if (name === start) {
      this.meanwhile?.();
      if (this.meanwhile || this.runs) throw failure('DatabaseMigration.InvalidResourceStateException');
      this.starts.push(String(parameters[asked]));
      this.begin();
      return {};
    }
    if (this.#told === null) return { [list]: [] };
    const { type = 'full-load', stats = {}, ...told } = this.#told;
    if (this.runs || told.StopReason?.endsWith('RECYCLE_TASK')) this.begin();
    return { [list]: [{ ...told, [typed]: type, [counted]: stats }] };
  }
}

describe('a replication is started as its state asks for', () => {
  const cdc = { type: 'cdc' };
  const both = { type: 'full-load-and-cdc' };
  test.each([
    ['new', ready, 'start-replication'],
    ['new, without servers', null, 'start-replication', 'serverless'],
    ['failed before it ran', { Status: 'failed' }, 'start-replication'],
    ['a full load that has ended', ended(1), 'reload-target'],
    ['a stream that was stopped', ended(1, cdc), 'resume-processing'],
    ['a load with a stream that was stopped', ended(1, both), 'resume-processing'],
    ['one that was stopped in its load', ended(1, { ...both, stats: { StartDate: at(1), FullLoadProgressPercent: 40 } }), 'reload-target'],
    ['one that is to be loaded anew', ended(1, both), 'reload-target', 'serverless'],
  ] as [string, Told | null, string, (keyof typeof kinds)?][])('%s', async (_, told, type, name = 'dms') => {
    const dms = new Dms(told, [running(3), ended(3)], name);
    expect([await dms.run(), dms.starts]).toEqual([null, [type]]);
  });
});

describe('its end', () => {
  test.each([
    ['a fatal error', ended(3, { StopReason: 'Stop Reason FATAL_ERROR' }), 'REMOTE_FAILED'],
    [
      'a stop before the end of the load',
      ended(3, { StopReason: 'Stop Reason NORMAL', stats: { ...whole, StartDate: at(3), FullLoadProgressPercent: 40 } }),
      'REMOTE_FAILED',
    ],
    ['tables in error', ended(3, { stats: { ...whole, StartDate: at(3), TablesErrored: 1 } }), 'REMOTE_FAILED'],
    ['a failure', { Status: 'failed', stats: { StartDate: at(3) } }, 'REMOTE_FAILED'],
    ['no stop at all: it stands as one that was never started', ready, 'REMOTE_FAILED'],
    ['a stop by its own setting', ended(3, { StopReason: 'Stop Reason STOPPED_AFTER_CACHED_EVENTS' }), null],
    ['a stop without a reason', { Status: 'stopped', stats: { ...whole, StartDate: at(3) } }, null],
  ] as [string, Told, string | null][])('%s', async (_, end, error) => {
    expect(await new Dms(ready, [running(3), end]).run()).toBe(error);
  });

  test('is none where DMS starts it again by itself', async () => {
    const recycled = ended(3, { StopReason: 'Stop Reason RECYCLE_TASK' });
    const dms = new Dms(ready, [running(3), recycled, running(3), ended(3)]);
    expect([await dms.run(), dms.starts.length, dms.asked.filter((call) => call.startsWith('describe')).length]).toEqual([null, 1, 5]);
  });

  test('of a stream whose full load is awaited is that load', async () => {
    const loaded = { Status: 'running', type: 'full-load-and-cdc', stats: { ...whole, StartDate: at(3) } };
    const dms = new Dms(null, [{ ...running(3), type: 'full-load-and-cdc' }, loaded], 'serverless');
    expect([await dms.run(), dms.starts.length]).toEqual([null, 1]);
  });
});

describe('two that come for one replication', () => {
  test('one that runs for somebody else is not started, and not taken for ours', async () => {
    const stranger = new Dms(running(1), []);
    expect([await stranger.run(), stranger.starts]).toEqual(['REMOTE_UNAVAILABLE', []]);
    const theirs = new Dms(ready, [running(3), running(3)]);
    theirs.dies = { at: 7, done: true };
    await theirs.run('run-2');
    expect(theirs.runs).toBe(true);
    theirs.dies = null;
    expect([await theirs.run('run-1'), theirs.starts.length]).toEqual(['REMOTE_UNAVAILABLE', 1]);
  });

  test('one that another has started since it was looked at is watched', async () => {
    const dms = new Dms(ended(1), [running(3), running(3), ended(3)]);
    dms.meanwhile = () => dms.begin();
    expect([await dms.run(), dms.starts]).toEqual([null, []]);
  });

  test('one that DMS does not start for another reason is a failure', async () => {
    const dms = new Dms(ended(1), []);
    dms.meanwhile = () => {};
    expect([await dms.run(), dms.asked.filter((call) => call === 'startReplicationTask').length]).toEqual(['REMOTE_UNAVAILABLE', 1]);
  });

  test('a start that has no effect is a failure, and the end before it no success', async () => {
    const dms = new Dms(ended(1), []);
    expect([await dms.run(), dms.starts.length]).toEqual(['REMOTE_FAILED', 1]);
    expect(dms.asked.length).toBeLessThan(12);
  });
});

test('an execution that is redriven after it died anywhere starts nothing beside what runs', async () => {
  const life = [running(3), running(3), running(3), ended(3), running(5), ended(5)];
  const undisturbed = new Dms(ready, life);
  expect(await undisturbed.run()).toBe(null);
  const calls = undisturbed.asked.length;
  expect(calls).toBeGreaterThan(6);
  for (let at = 1; at <= calls; at++) {
    for (const done of [false, true]) {
      const dms = new Dms(ready, life);
      dms.dies = { at, done };
      expect(await dms.run()).toBe('Died');
      const still = dms.runs;
      const before = dms.starts.length;
      dms.dies = null;
      expect([at, done, await dms.run()]).toEqual([at, done, null]);
      expect([at, done, dms.starts.length]).toEqual([at, done, still ? 1 : before + 1]);
    }
  }
});
