import type { Context, RemoteHandle } from '@millrace/core/runtime';

/** How long a service may say that it does not know what it has just started, or tell its state from before the start. */
const recentMs = 120_000;

/** What a handle keeps of the moment of its start. */
export const startedNow = (context: Pick<Context, 'now'>): { readonly startedAt: string } => ({ startedAt: context.now().toISOString() });

/** Whether the start was so recent that what the service says of it may be older. */
export const isRecent = ({ detail }: RemoteHandle, context: Pick<Context, 'now'>): boolean =>
  context.now().getTime() - Date.parse(String(detail['startedAt'])) < recentMs;
