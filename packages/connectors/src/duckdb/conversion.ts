/** What a conversion needs of the context of its stage. */
export interface ConversionContext {
  readonly signal: AbortSignal;
  /** Files and pipes of the conversion are made here. */
  readonly spool: string;
  readonly memoryBudget: number;
  progress(delta: { readonly rows?: number; readonly bytes?: number }): void;
}

let made = 0;
/** A name within the spool that nobody else uses. */
export const spoolName = (stem: string, extension = ''): string => `${stem}-${++made}${extension}`;
