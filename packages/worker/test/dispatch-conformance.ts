import { setTimeout as sleep } from 'node:timers/promises';
import type { WakeUp } from '@millrace/core/runtime';
import { describe, expect, it, vi } from 'vitest';
import type { Dispatch, Hint } from '../src/dispatch/dispatch.ts';

export interface DispatchUnderTest {
  /** One that shares a queue with all that were opened with the same name. */
  open(queue: string): Promise<Dispatch>;
  /** Whether another process could open the same queue. */
  readonly shared: boolean;
}

const soon = { timeout: 30_000, interval: 5 };
let queues = 0;

/** What every dispatch holds to. Hints may be lost, late or doubled; on a line that nobody disturbs none is lost. */
export function dispatchConformance(name: string, { open, shared }: DispatchUnderTest): void {
  const fresh = () => `queue-${process.pid}-${++queues}`;
  const wake = (stage: string | null, more: Partial<Hint> = {}): Hint => ({ run: 'run-1', stage, ...more });

  /** Notes what begins; what begins goes on until it is let go. */
  function desk(failing = false) {
    const begun: WakeUp[] = [];
    const held: (() => void)[] = [];
    return {
      begun,
      stages: () => begun.map(({ stage }) => stage),
      letGo: () => held.splice(0).forEach((end) => void end()),
      hold: (wakeUp: WakeUp) => {
        begun.push(wakeUp);
        return new Promise<void>((resolve) => held.push(resolve));
      },
      pass: async (wakeUp: WakeUp) => {
        begun.push(wakeUp);
        if (failing) throw new Error('the handler fails');
      },
    };
  }

  describe(name, () => {
    it('delivers what was sent before and after anybody listens, in the order of sending, and nothing but ids', async () => {
      await using dispatch = await open(fresh());
      const { begun, pass } = desk();
      await dispatch.send([wake('a', { priority: 0 }), wake('b')]);
      dispatch.receive(1, pass);
      await vi.waitFor(() => expect(begun).toHaveLength(2), soon);
      await dispatch.send([wake('c'), wake(null), { run: 'run: 2', stage: 'drei/Ä b' }]);
      await vi.waitFor(() => expect(begun).toHaveLength(5), soon);
      expect(begun).toEqual([
        { run: 'run-1', stage: 'a' },
        { run: 'run-1', stage: 'b' },
        { run: 'run-1', stage: 'c' },
        { run: 'run-1', stage: null },
        { run: 'run: 2', stage: 'drei/Ä b' },
      ]);
    });

    it('has as many in work as there are places, and the next one when one has ended', async () => {
      await using dispatch = await open(fresh());
      const { begun, hold, letGo } = desk();
      dispatch.receive(3, hold);
      await dispatch.send(Array.from({ length: 7 }, (_, index) => wake(`s${index}`)));
      await vi.waitFor(() => expect(begun).toHaveLength(3), soon);
      await sleep(200);
      expect(begun).toHaveLength(3);
      expect(await dispatch.depth()).toBe(4);
      letGo();
      await vi.waitFor(() => expect(begun).toHaveLength(6), soon);
      letGo();
      await vi.waitFor(() => expect(begun).toHaveLength(7), soon);
      letGo();
      expect(await dispatch.depth()).toBe(0);
    });

    it('keeps one of several that wait for the same run and stage', async () => {
      await using dispatch = await open(fresh());
      const { stages, pass } = desk();
      await dispatch.send([wake('a'), wake('a'), wake('b'), { run: 'run-2', stage: 'a' }]);
      await dispatch.send([wake('a'), wake('b')]);
      expect(await dispatch.depth()).toBe(3);
      dispatch.receive(1, pass);
      await vi.waitFor(() => expect(stages()).toEqual(['a', 'b', 'a']), soon);
      await sleep(200);
      expect(stages()).toHaveLength(3);
    });

    it('delivers one that is sent while the same is being handled, without waiting for that', async () => {
      await using dispatch = await open(fresh());
      const { stages, hold, letGo } = desk();
      dispatch.receive(2, hold);
      await dispatch.send([wake('a')]);
      await vi.waitFor(() => expect(stages()).toEqual(['a']), soon);
      await dispatch.send([wake('a')]);
      await vi.waitFor(() => expect(stages()).toEqual(['a', 'a']), soon);
      letGo();
    });

    it('loses none that is sent in the moment when the same one begins', async () => {
      await using dispatch = await open(fresh());
      // The handler looks at what is to be done; whoever sends has written it before. The last look must see the last write.
      let written = 0;
      let seen = 0;
      dispatch.receive(4, async () => {
        seen = Math.max(seen, written);
        await sleep(Math.random() * 3);
      });
      for (let round = 0; round < 300; round++) {
        written++;
        await dispatch.send([wake('a')]);
        if (round % 7 === 0) await sleep(Math.random() * 4);
      }
      await vi.waitFor(() => expect(seen).toBe(300), soon);
    });

    it('delivers one that is sent again after it was handled', async () => {
      await using dispatch = await open(fresh());
      const { stages, pass } = desk();
      dispatch.receive(1, pass);
      for (let time = 1; time <= 3; time++) {
        await dispatch.send([wake('a')]);
        await vi.waitFor(() => expect(stages()).toHaveLength(time), soon);
      }
    });

    it('takes the most urgent first, and those without a priority before all', async () => {
      await using dispatch = await open(fresh());
      const { stages, pass } = desk();
      await dispatch.send([wake('late', { priority: 2 ** 40 }), wake('low', { priority: 900 }), wake('high', { priority: 3 })]);
      await dispatch.send([wake('low too', { priority: 900 }), wake('none'), wake('zero', { priority: 0 })]);
      dispatch.receive(1, pass);
      await vi.waitFor(() => expect(stages()).toEqual(['none', 'zero', 'high', 'low', 'low too', 'late']), soon);
    });

    it('goes on after a handler that fails, and does not deliver that one again', async () => {
      await using dispatch = await open(fresh());
      const { stages, pass } = desk(true);
      dispatch.receive(1, pass);
      await dispatch.send([wake('a'), wake('b')]);
      await vi.waitFor(() => expect(stages()).toEqual(['a', 'b']), soon);
      await sleep(500);
      expect(stages()).toHaveLength(2);
      expect(await dispatch.depth()).toBe(0);
    });

    it('delivers nothing once paused, and lets go on what is in work', async () => {
      await using dispatch = await open(fresh());
      const { stages, hold, letGo } = desk();
      dispatch.receive(2, hold);
      await dispatch.send([wake('a')]);
      await vi.waitFor(() => expect(stages()).toEqual(['a']), soon);
      dispatch.pause();
      await dispatch.send([wake('b')]);
      await sleep(300);
      letGo();
      await sleep(100);
      expect(stages()).toEqual(['a']);
      dispatch.pause();
    });

    it('takes a thousand at once', async () => {
      await using dispatch = await open(fresh());
      const seen = new Set<string | null>();
      let active = 0;
      let most = 0;
      dispatch.receive(16, async ({ stage }) => {
        most = Math.max(most, ++active);
        seen.add(stage);
        await sleep(1);
        active--;
      });
      await dispatch.send(Array.from({ length: 1_500 }, (_, index) => wake(`stage-${index}`)));
      await vi.waitFor(() => expect(seen.size).toBe(1_500), { ...soon, timeout: 60_000 });
      expect(most).toBeLessThanOrEqual(16);
    });

    it('is closed while handlers run, in any order and more than once, and refuses or drops what is sent afterwards', async () => {
      const dispatch = await open(fresh());
      const { stages, hold, letGo } = desk();
      dispatch.receive(1, hold);
      await dispatch.send([wake('a'), wake('b')]);
      await vi.waitFor(() => expect(stages()).toEqual(['a']), soon);
      const begun = performance.now();
      await Promise.all([dispatch[Symbol.asyncDispose](), dispatch[Symbol.asyncDispose]()]);
      expect(performance.now() - begun).toBeLessThan(10_000);
      letGo();
      await dispatch.send([wake('c')]).catch(({ code }) => expect(code).toBe('DISPATCH_UNAVAILABLE'));
      await sleep(100);
      expect(stages()).toEqual(['a']);
    });

    it('is closed at once where nobody ever listened', async () => {
      const dispatch = await open(fresh());
      const begun = performance.now();
      await dispatch[Symbol.asyncDispose]();
      expect(performance.now() - begun).toBeLessThan(5_000);
    });

    it('says that it is connected', async () => {
      await using dispatch = await open(fresh());
      await dispatch.send([wake('a')]);
      expect(dispatch.health).toEqual({ at: 'connected' });
    });

    if (!shared) return;

    it('gives each to one of several that listen, and what one leaves to the others', async () => {
      const queue = fresh();
      await using one = await open(queue);
      await using other = await open(queue);
      await using sender = await open(queue);
      const [here, there] = [desk(), desk()];
      one.receive(2, here.hold);
      other.receive(2, there.hold);
      await sender.send(['a', 'b', 'c', 'd', 'e', 'f'].map((stage) => wake(stage)));
      await vi.waitFor(() => expect([here.begun.length, there.begun.length]).toEqual([2, 2]), soon);
      one.pause();
      here.letGo();
      there.letGo();
      await vi.waitFor(() => expect(there.begun).toHaveLength(4), soon);
      expect(here.begun).toHaveLength(2);
      expect(new Set([...here.stages(), ...there.stages()]).size).toBe(6);
      there.letGo();
    });

    it('delivers each at least once where two send the same, in another order, again and again', async () => {
      const queue = fresh();
      await using one = await open(queue);
      await using other = await open(queue);
      const seen = new Set<string | null>();
      const note = async ({ stage }: WakeUp) => void seen.add(stage);
      one.receive(3, note);
      other.receive(3, note);
      const all = Array.from({ length: 60 }, (_, index) => wake(`s${index}`));
      await Promise.all([one.send(all), other.send(all.toReversed()), one.send(all.slice(20)), other.send([...all, ...all])]);
      await vi.waitFor(() => expect(seen.size).toBe(60), soon);
      await vi.waitFor(async () => expect(await one.depth()).toBe(0), soon);
    });

    it('does not mix queues', async () => {
      await using one = await open(fresh());
      await using other = await open(fresh());
      const [here, there] = [desk(), desk()];
      one.receive(1, here.pass);
      other.receive(1, there.pass);
      await one.send([wake('a')]);
      await other.send([wake('b')]);
      await vi.waitFor(() => expect([here.stages(), there.stages()]).toEqual([['a'], ['b']]), soon);
    });
  });
}
