import assert from 'node:assert/strict';
import type { Context, Json, RemoteHandle, RemoteRequest, RemoteState, RemoteTask } from '../connector/index.ts';
import { isMillraceError } from '../error/index.ts';
import { testContext } from './context.ts';
import type { Test } from './suite.ts';

/** A service that knows no work yet, and what a test may do there behind the task's back. */
export interface RemoteFixture extends AsyncDisposable {
  readonly task: RemoteTask;
  readonly parameters: Readonly<Record<string, Json>>;
  /** Secrets and the like; a silent one by default. */
  readonly context?: Context;
  /** How many works the service has begun. */
  works(): Promise<number> | number;
  /** Ends the newest work. `interrupted` is left out where the service has no such end, `failed` where nothing can fail. */
  readonly end: { readonly [How in 'succeeded' | 'failed' | 'interrupted']?: () => Promise<void> | void };
  /** Lets the next call be throttled, or answered by a server error; or, `garbled`, be carried out and answered by what is no answer. */
  readonly refuse?: { readonly [How in 'throttled' | 'unavailable' | 'garbled']?: () => Promise<void> | void };
  /** The newest work is not known any more. */
  readonly forget?: () => Promise<void> | void;
}

/**
 * What every `RemoteTask` promises.
 *
 * @example remoteTaskConformance(test, async () => glueFixture())
 */
export function remoteTaskConformance(test: Test, fresh: () => Promise<RemoteFixture>): void {
  const withTask = (name: string, body: (world: World) => Promise<void>): void =>
    test(name, async () => {
      await using fixture = await fresh();
      await body(worldOf(fixture));
    });

  withTask('its description is plain, and names the call as the service does', async ({ task, fixture }) => {
    const { service, action, label, starts, watched, pollMs } = task.description;
    assert.deepEqual(JSON.parse(JSON.stringify(task.description)), task.description);
    assert.match(service, /^[a-z][a-z0-9-]*$/);
    assert.match(action, /^[A-Z][A-Za-z]+$/);
    assert.notEqual(label, '');
    assert.ok(starts === 'once' || starts === 'at-least-once');
    assert.ok(Number.isInteger(pollMs) && pollMs > 0);
    assert.ok(watched === (fixture.end.succeeded !== undefined), 'what is watched can be ended by the fixture');
  });

  withTask('work is started, and ends with an output', async ({ started, poll, end, works, watched }) => {
    const handle = await started('one');
    assert.equal(await works(), 1);
    if (watched) {
      const before = await poll(handle);
      assert.equal(before.at, 'running');
      if (before.at === 'running')
        assert.ok(before.status !== '' && (before.progress === null || (before.progress >= 0 && before.progress <= 1)));
      await end('succeeded');
    }
    const after = await poll(handle);
    assert.equal(after.at, 'succeeded');
    if (after.at === 'succeeded') assert.deepEqual(JSON.parse(JSON.stringify(after.output)), after.output);
    assert.deepEqual(await poll(handle), after, 'it stays so');
  });

  withTask('nothing is found before a start', async ({ adopt, works }) => {
    assert.equal(await adopt('one'), null);
    assert.equal(await works(), 0);
  });

  withTask('a start whose answer was lost is found again, where the service can tell', async ({ task, started, adopt, works }) => {
    const first = await started('one');
    // As an attempt after it does.
    const again = (await adopt('one')) ?? (await started('one'));
    if (task.description.starts === 'at-least-once') return;
    assert.equal(again.id, first.id);
    assert.equal(await works(), 1);
  });

  withTask('another request is other work', async ({ started, adopt, works, watched, end }) => {
    const first = await started('one');
    if (watched) await end('succeeded');
    assert.equal(await adopt('two'), null);
    const second = await started('two');
    assert.notEqual(second.id, first.id);
    assert.equal(await works(), 2);
  });

  withTask('a failure has its reason, and says whether another start may succeed', async ({ fixture, started, poll, end, watched }) => {
    if (!watched) return;
    for (const [how, again] of [
      ['failed', false],
      ['interrupted', true],
    ] as const) {
      if (!fixture.end[how]) continue;
      const handle = await started(how);
      await end(how);
      const state = await poll(handle);
      assert.equal(state.at, 'failed', how);
      if (state.at === 'failed') assert.deepEqual({ again: state.again, told: state.reason !== '' }, { again, told: true }, how);
    }
  });

  withTask('work is asked to end as often as anybody likes, also when it has', async ({ task, context, started, poll, end, watched }) => {
    const handle = await started('one');
    await task.cancel(handle, context);
    await task.cancel(handle, context);
    const other = await started('two');
    if (watched) await end('succeeded');
    const ended = await poll(other);
    await task.cancel(other, context);
    assert.deepEqual(await poll(other), ended, 'what has ended stays so');
  });

  for (const [how, code] of [
    ['throttled', 'REMOTE_THROTTLED'],
    ['unavailable', 'REMOTE_UNAVAILABLE'],
  ] as const) {
    withTask(`a call that is ${how} is ${code}, and the next one answers`, async ({ fixture, started, poll, watched }) => {
      const refuse = fixture.refuse?.[how];
      if (!refuse) return;
      await refuse();
      await assert.rejects(started('one'), (error) => isMillraceError(error) && error.code === code);
      const handle = await started('one');
      if (!watched) return;
      await refuse();
      await assert.rejects(poll(handle), (error) => isMillraceError(error) && error.code === code);
      await poll(handle);
    });
  }

  withTask(
    'an answer that cannot be read is none, and what was started is found again',
    async ({ fixture, task, started, adopt, poll, works }) => {
      const garble = fixture.refuse?.garbled;
      if (!garble) return;
      const isUnavailable = (error: unknown): boolean => isMillraceError(error) && error.code === 'REMOTE_UNAVAILABLE';
      await garble();
      await assert.rejects(started('one'), isUnavailable);
      const handle = (await adopt('one')) ?? (await started('one'));
      assert.equal(await works(), task.description.starts === 'once' ? 1 : 2);
      if (!task.description.watched) return;
      await garble();
      await assert.rejects(poll(handle), isUnavailable);
      await poll(handle);
    },
  );

  withTask('work that the service has forgotten has failed', async ({ fixture, started, poll }) => {
    if (!fixture.forget) return;
    const handle = await started('one');
    await fixture.forget();
    const state = await poll(handle);
    assert.equal(state.at, 'failed');
  });

  withTask('a handle is plain data', async ({ started }) => {
    const handle = await started('one');
    assert.deepEqual(JSON.parse(JSON.stringify(handle)), handle);
    assert.notEqual(handle.id, '');
  });

  withTask('a call that is broken off rejects', async ({ task, context, works, request }) => {
    const gone = { ...context, signal: AbortSignal.abort(new Error('enough')) };
    await assert.rejects(task.start(request('one'), gone));
    assert.equal(await works(), 0);
  });
}

interface World {
  readonly fixture: RemoteFixture;
  readonly task: RemoteTask;
  readonly context: Context;
  readonly watched: boolean;
  request(id: string): RemoteRequest;
  started(id: string): Promise<RemoteHandle>;
  adopt(id: string): Promise<RemoteHandle | null>;
  poll(handle: RemoteHandle): Promise<RemoteState>;
  end(how: keyof RemoteFixture['end']): Promise<void>;
  works(): Promise<number>;
}

function worldOf(fixture: RemoteFixture): World {
  const { task, parameters, context = testContext() } = fixture;
  const request = (id: string): RemoteRequest => ({ id: `20260329T000000-conf-${id}-0`, parameters });
  return {
    fixture,
    task,
    context,
    watched: task.description.watched,
    request,
    started: (id) => task.start(request(id), context),
    adopt: (id) => task.adopt(request(id), context),
    poll: (handle) => task.poll(handle, context),
    end: async (how) => {
      const end = fixture.end[how];
      assert.ok(end, `the fixture can let work end as ${how}`);
      await end();
    },
    works: async () => fixture.works(),
  };
}
