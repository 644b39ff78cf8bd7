import type { Duration, Setting } from '@millrace/core/runtime';
import type { HttpAuth } from './auth.ts';

export interface HttpOptions {
  /** What all paths of the connection stand under: `https://api.example.com/v2/`. */
  readonly url: Setting;
  readonly auth?: HttpAuth;
  /** Sent with every request to the place of the connection. */
  readonly headers?: Readonly<Record<string, Setting>>;
  /** The most requests that this process begins within a time: `{ requests: 10, per: '1s' }`. No limit by default. */
  readonly rate?: { readonly requests: number; readonly per: Duration };
  /** For a request that failed in a way that may pass. */
  readonly retry?: {
    /** How often a request is sent in all. 6 by default. */
    readonly attempts?: number;
    /** The first pause, doubled each time up to 30 s, with jitter; `'500ms'` by default. What the API asks for (Retry-After) comes first. */
    readonly delay?: Duration;
    /** The longest pause that the API may ask for; a longer one ends the attempt. `'5m'` by default. */
    readonly longestWait?: Duration;
  };
  /** An answer that is silent for so long has been lost. `'60s'` by default. */
  readonly timeout?: Duration;
  /** Other hosts that links and redirects may lead to, `'files.example.com'` or `'files.example.com:8443'`. No credentials and no headers of the connection go there. */
  readonly hosts?: readonly string[];
  readonly tls?: {
    /** Certificates of the authorities to trust, PEM, in place of those of Node. */
    readonly ca?: Setting;
    /** The client's own certificate and key, PEM. */
    readonly cert?: Setting;
    readonly key?: Setting;
  };
  /** Stages that may read from it at once, in the whole fleet. */
  readonly maxConnections?: number;
}
