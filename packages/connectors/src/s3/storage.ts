/** An object or file. `etag` changes when the content does. */
export interface Stored {
  readonly key: string;
  readonly size: number;
  readonly etag: string;
  readonly modified: Date;
}

/**
 * What datasets need of an object store or a directory. Keys are relative to `url`. Every call is all or nothing: a reader never
 * sees half of an object, and what a promise has settled survives a power cut.
 */
export interface Storage extends AsyncDisposable {
  /** Ends in '/'. */
  readonly url: string;
  /** True where other machines find the same under this URL. */
  readonly shared: boolean;
  /** In the order of the keys' bytes. */
  list(prefix: string, options?: { readonly after?: string }): AsyncIterable<Stored>;
  head(key: string): Promise<Stored | null>;
  /** For small objects. */
  read(key: string): Promise<Buffer | null>;
  /** The object as it was when it was listed, as a file: its own, or a copy at `path`. @throws MANIFEST_MISMATCH where it has changed or gone */
  fetch(object: Pick<Stored, 'key' | 'etag' | 'size'>, path: string): Promise<string>;
  write(key: string, body: string): Promise<void>;
  /**
   * Only if nobody has: of several writers at once exactly one is told `true`. A writer whose answer got lost may be told `false` about
   * its own object, so who needs to know reads it.
   */
  create(key: string, body: string): Promise<boolean>;
  /** Takes a file from the spool; it may be gone afterwards. */
  upload(key: string, path: string): Promise<Stored>;
  delete(keys: readonly string[]): Promise<void>;
  /** Ends uploads, begun before then, that nobody has finished. */
  sweep(before: Date): Promise<void>;
}

/** What a source of files needs of a place: also one where nothing can be written. */
export type FileReader = Pick<Storage, 'url' | 'shared' | 'list' | 'head' | 'read' | 'fetch'> & AsyncDisposable;
