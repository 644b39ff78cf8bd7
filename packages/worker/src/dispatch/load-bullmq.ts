import { MillraceError } from '@millrace/core/runtime';

/**
 * BullMQ, and the client for Redis: optional peers, for a run on one machine needs neither and loads neither.
 * @throws CONFIG_INVALID where they are not installed
 */
export const loadBullmq = (): Promise<typeof import('bullmq')> => installed('bullmq', () => import('bullmq'));
export const loadIoredis = () => installed('ioredis', () => import('ioredis'));

export async function installed<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new MillraceError('CONFIG_INVALID', {
      message: `A fleet needs the package "${name}", which is not installed here.`,
      remedy: 'Install the queue beside Millrace: npm install bullmq@6 ioredis@6',
      facts: { package: name },
      cause,
    });
  }
}
