/** What may start runs beside the clock. Each event it finds becomes a tick, under a key by which it counts once. */
export interface TriggerSource {
  /** For messages: `files of s3://bucket/landing/*.csv`. */
  readonly name: string;
  readonly everyMs: number;
  /** Looks once. Answers in how many milliseconds it wants to look again, or null for `everyMs`. */
  look(signal: AbortSignal): Promise<number | null>;
  close?(): Promise<void>;
}
