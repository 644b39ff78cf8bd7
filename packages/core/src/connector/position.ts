import { MillraceError } from '../error/index.ts';

declare const position: unique symbol;

/**
 * A place in a change stream, written by the connector that reads it: text of fixed width, so that text order is stream order
 * (`<`, `>` and `=` on two positions of one stream mean what they say). Opaque elsewhere.
 */
export type Position = string & { readonly [position]: true };

/** @throws INTERNAL for what could not be stored in a file name, a manifest or a text column */
export function positionOf(text: string): Position {
  if (/^[0-9A-Za-z.:_-]{1,512}$/.test(text)) return text as Position;
  throw new MillraceError('INTERNAL', { message: `${JSON.stringify(text)} is no position in a stream.`, remedy: 'Please report it.' });
}

/** The one that comes first in the stream. @throws INTERNAL where there is none */
export function earliest(positions: readonly Position[]): Position {
  const [first] = [...positions].sort();
  if (first !== undefined) return first;
  throw new MillraceError('INTERNAL', { message: 'There is no position to choose from.', remedy: 'Please report it.' });
}
