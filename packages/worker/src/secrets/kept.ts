import { type ErrorCode, isMillraceError } from '@millrace/core/runtime';

/** As long as AWS's own caches: a secret that was changed is noticed by then at the latest, and at once where the old one is refused. */
const keptMs = 5 * 60_000;

const away: ReadonlySet<ErrorCode> = new Set(['REMOTE_THROTTLED', 'REMOTE_UNAVAILABLE', 'CONNECTION_FAILED']);

/** Asks for what is kept under a name; undefined where nothing is. */
export type Fetch = (id: string) => Promise<string | undefined>;

/**
 * Keeps what a service has told. Whoever asks for the same at the same time gets the same answer. What is kept is asked for again after
 * five minutes, or when it is the `refused` one; where the service is away then, the old one is as good as before.
 */
export function kept(fetch: Fetch, now: () => number): (id: string, refused?: string) => Promise<string | undefined> {
  const shelf = new Map<string, { readonly text: string; readonly until: number }>();
  const underway = new Map<string, Promise<string | undefined>>();

  function ask(id: string): Promise<string | undefined> {
    const asking = fetch(id)
      .then((text) => {
        if (text === undefined) shelf.delete(id);
        else shelf.set(id, { text, until: now() + keptMs });
        return text;
      })
      .finally(() => underway.delete(id));
    underway.set(id, asking);
    return asking;
  }

  return async (id, refused) => {
    const at = shelf.get(id);
    const usable = at !== undefined && at.text !== refused;
    if (usable && now() < at.until) return at.text;
    try {
      const joined = underway.get(id);
      const text = await (joined ?? ask(id));
      // An answer that was on its way when the change was made may be the old one.
      return joined && text !== undefined && text === refused ? await (underway.get(id) ?? ask(id)) : text;
    } catch (error) {
      if (usable && isMillraceError(error) && away.has(error.code)) return at.text;
      throw error;
    }
  };
}
