import type { Context, RemoteDescription, RemoteHandle, RemoteRequest, RemoteTask } from '@millrace/core/runtime';

/** Work that is done when its call answers: what the call says is kept in the handle, and there is nothing to watch, to find again or to end. */
export const doneAtOnce = (
  description: RemoteDescription,
  work: (request: RemoteRequest, context: Context) => Promise<Omit<RemoteHandle, 'id'>>,
): RemoteTask => ({
  description,
  start: async (request, context) => ({ id: request.id, ...(await work(request, context)) }),
  adopt: async () => null,
  poll: async ({ detail }) => ({ at: 'succeeded', output: detail }),
  cancel: async () => {},
});
