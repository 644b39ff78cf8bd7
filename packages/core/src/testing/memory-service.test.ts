import { describe, test } from 'vitest';
import { MillraceError } from '../error/index.ts';
import { MemoryService, throttled } from './memory-service.ts';
import { remoteTaskConformance } from './remote-task.ts';

describe.each([
  ['by a token', { remembers: 'token' }],
  ['by asking', { remembers: 'asked' }],
  ['not at all', { remembers: 'nothing' }],
  ['by a token, and answers when it is done', { remembers: 'token', watched: false }],
] as const)('a service that finds starts again %s', (_, options) => {
  remoteTaskConformance(test, async () => {
    let refusal: Error | undefined;
    const service = new MemoryService({
      ...options,
      at(_, when) {
        const error = refusal;
        refusal = undefined;
        if (when === 'before' && error) throw error;
      },
    });
    const away = () => new MillraceError('REMOTE_UNAVAILABLE', { message: 'Internal error.', remedy: 'Nothing to do.' });
    const task = service.task();
    return {
      // In memory nothing takes long enough to be broken off.
      task: {
        ...task,
        start(request, context) {
          return context.signal.aborted ? Promise.reject(context.signal.reason) : task.start(request, context);
        },
      },
      parameters: { Name: 'nightly' },
      works: () => service.works.length,
      end:
        'watched' in options
          ? {}
          : {
              succeeded: () => service.end({ at: 'succeeded', output: { said: 'done' } }),
              failed: () => service.end({ at: 'failed', reason: 'a bug', again: false }),
              interrupted: () => service.end({ at: 'failed', reason: 'no capacity', again: true }),
            },
      refuse: {
        throttled: () => {
          refusal = throttled();
        },
        unavailable: () => {
          refusal = away();
        },
      },
      forget: () => void service.works.splice(0),
      async [Symbol.asyncDispose]() {},
    };
  });
});
