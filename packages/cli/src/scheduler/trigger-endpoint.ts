import { MillraceError, type ScheduleStore, secret } from '@millrace/core/runtime';
import { type Deployed, type Launch, type TriggerServer, triggerServer } from '@millrace/worker';
import type { Session } from '../session.ts';

export interface TriggerEndpointOptions {
  readonly listen?: number;
  readonly host?: string;
}

/** Starts runs by HTTP, for callers that know the token; null where nobody has asked for that. @throws SECRET_MISSING, CONFIG_INVALID */
export async function triggerEndpoint(
  session: Session,
  { listen, host }: TriggerEndpointOptions,
  by: {
    readonly launch: Launch;
    readonly pipelines: ReadonlyMap<string, Deployed>;
    readonly store: ScheduleStore;
    readonly onError: (error: unknown, what: string) => void;
  },
): Promise<TriggerServer | null> {
  if (listen === undefined) return null;
  const token = await (await session.secrets()).get(secret('MILLRACE_TRIGGER_TOKEN'));
  if (token.length < 16)
    throw new MillraceError('CONFIG_INVALID', {
      message: 'MILLRACE_TRIGGER_TOKEN has less than 16 characters, so that it can be guessed.',
      remedy: "Make one: node -p \"require('node:crypto').randomBytes(24).toString('base64url')\"",
    });
  const { store, onError, ...rest } = by;
  return session.keep(
    await triggerServer({
      ...rest,
      token,
      port: listen,
      now: () => store.now(),
      onError: (error) => onError(error, 'a request'),
      ...(host !== undefined && { host }),
    }),
  );
}
