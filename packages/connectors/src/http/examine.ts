import { type Context, type Finding, isMillraceError } from '@millrace/core/runtime';
import { HttpClient } from './client/client.ts';
import type { HttpOptions } from './connection-options.ts';

/** Asks for the place itself: any answer but a refusal of the credentials says that it can be reached. */
export async function examineApi(options: HttpOptions, subject: string, context: Context): Promise<Finding[]> {
  try {
    await using client = await HttpClient.open({ ...options, retry: { attempts: 1 } }, null, context);
    const status = await client.ask(
      { method: 'GET', url: client.place.base, doing: 'looking whether it answers', accept: [400, 404, 405, 406, 410, 415, 422, 501] },
      async (response) => response.statusCode ?? 0,
    );
    const message = status < 300 ? 'it answers' : `it answers (${status} at its root, where nothing need be)`;
    return [{ subject, level: 'ok', message: options.auth ? `${message}, and does not refuse the credentials` : message }];
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject, level: 'problem', message: error.message, remedy: error.remedy, error }];
  }
}
