import type { Context } from './context.ts';

/**
 * Work that a service does elsewhere (a Glue job, an ECS task, a DMS replication): started once, watched by its handle, so that losing a
 * worker costs nothing.
 *
 * The engine keeps, in the state store, first that it is about to start (`request.id`), then the handle, then that it has ended. A worker
 * that dies between the first two leaves a start whose answer nobody has: the next one asks `adopt` before it calls `start`.
 */
export interface RemoteTask {
  readonly description: RemoteDescription;
  /**
   * For how many milliseconds the service tells of a start by its request, with a token or by asking: always, where it is left out. A start that may have
   * been made longer ago, and of which nothing is found, is not made again before a person has looked.
   */
  readonly tellsForMs?: number;
  /**
   * Starts the work. Where the service knows client tokens, `request.id` (or what is derived from it) is the token, so that a second start
   * under one id answers the first one's handle. May answer work that has ended already.
   *
   * @throws REMOTE_REFUSED where the service will never accept the request, REMOTE_THROTTLED and REMOTE_UNAVAILABLE where it may later
   */
  start(request: RemoteRequest, context: Context): Promise<RemoteHandle>;
  /** What has been started under this id before, by anybody; null where nothing was, or where the service cannot be asked (`starts` says so). */
  adopt(request: RemoteRequest, context: Context): Promise<RemoteHandle | null>;
  /** One look. Throws like `start`; work that the service has forgotten is `failed`, with that as its reason. */
  poll(handle: RemoteHandle, context: Context): Promise<RemoteState>;
  /** Asks the service to end the work. Nothing to do where it has ended, or where it cannot be ended. */
  cancel(handle: RemoteHandle, context: Context): Promise<void>;
}

/** What a plan says of the work, and all that a state machine needs to do it natively. No secrets. */
export interface RemoteDescription {
  /** As AWS names the service in ARNs of integrations: `glue`, `lambda`, `ecs`, `dms`, `redshift-data`, `rds-data`, `events`, `sns`. */
  readonly service: string;
  /** The call that starts the work, as the service's API names it: `StartJobRun`. */
  readonly action: string;
  /** For people: `Glue job nightly-sales`. */
  readonly label: string;
  /** Null for the region of whoever calls. */
  readonly region: string | null;
  /** `once`: a lost answer is found again. `at-least-once`: the service cannot tell a repeated start, and `plan` says so. */
  readonly starts: 'once' | 'at-least-once';
  /** False where `start` answers when the work is done, and nothing is watched. */
  readonly watched: boolean;
  /** The first pause between two looks, in milliseconds; doubled up to 15 times that. */
  readonly pollMs: number;
  /** What else the service's compiler needs to know: how a state machine watches, what it costs. */
  readonly facts: Readonly<Record<string, Json>>;
}

export interface RemoteRequest {
  /** Of run and stage, the same for every attempt until the work has ended without success; a retry after that has a new one. At most 64 characters of `[A-Za-z0-9-]`. */
  readonly id: string;
  /** Parameters of the call, in the shape and the names of the service's API; values of the run are filled in. */
  readonly parameters: Readonly<Record<string, Json>>;
}

/** Names the work at its service; is kept in the state store. No secrets. */
export interface RemoteHandle {
  readonly id: string;
  /** Where a person looks: the service's console or log. */
  readonly link: string | null;
  readonly detail: Readonly<Record<string, Json>>;
}

export type RemoteState =
  | {
      readonly at: 'running';
      /** What the service says, in a word: `PROVISIONING`. */
      readonly status: string;
      /** From 0 to 1, where the service says it. */
      readonly progress: number | null;
    }
  | { readonly at: 'succeeded'; readonly output: Readonly<Record<string, Json>> }
  /** `again`: whether another start may succeed (capacity, an interruption) or a person has to look. */
  | { readonly at: 'failed'; readonly reason: string; readonly again: boolean };

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
