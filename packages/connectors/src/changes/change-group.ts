import { type ChangeGroup, type ChangePart, MillraceError, type Position, type SourceTransaction } from '@millrace/core/runtime';

/** Whole transactions that are here already. */
export function wholeGroup(
  position: Position,
  transactions: readonly SourceTransaction[],
  parts: readonly ChangePart[],
  size: { readonly rows: number; readonly bytes: number },
): ChangeGroup {
  async function* inOrder() {
    yield* parts;
  }
  return { transactions, parts: inOrder(), size, position: () => position };
}

/** Nothing of ours was in the stream up to `position`. */
export const emptyGroup = (position: Position): ChangeGroup => wholeGroup(position, [], [], { rows: 0, bytes: 0 });

/**
 * One transaction that is too large for memory: its parts are handed on while they come in. `onTaken` hears of the bytes that have left.
 */
export class LargeGroup implements ChangeGroup {
  readonly transactions: readonly SourceTransaction[];
  readonly size = null;
  readonly parts: AsyncIterable<ChangePart>;
  readonly #onTaken: (bytes: number) => void;
  readonly #waiting: { readonly part: ChangePart; readonly bytes: number }[] = [];
  #position: Position | null = null;
  #failure: unknown;
  #wake: () => void = () => {};
  #abandoned = false;

  constructor(transaction: SourceTransaction, onTaken: (bytes: number) => void) {
    this.transactions = [transaction];
    this.#onTaken = onTaken;
    this.parts = this.#read();
  }

  /** All of it has come and was taken. */
  get isRead(): boolean {
    return this.#position !== null && this.#waiting.length === 0 && !this.#abandoned;
  }

  add(part: ChangePart, bytes: number): void {
    if (this.#abandoned) return this.#onTaken(bytes);
    this.#waiting.push({ part, bytes });
    this.#wake();
  }

  end(position: Position): void {
    this.#position = position;
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure = error;
    this.#wake();
  }

  /** Whatever is still to come is thrown away; a reader who comes back hears that it broke off. */
  abandon(): void {
    this.#abandoned = true;
    this.#failure ??= new MillraceError('WIRE_CORRUPT', {
      message: 'A transaction was left before its changes were read.',
      remedy: 'It is read again from its beginning.',
    });
    for (const { bytes } of this.#waiting.splice(0)) this.#onTaken(bytes);
    this.#wake();
  }

  position(): Position {
    if (this.#position !== null && this.#waiting.length === 0) return this.#position;
    throw new MillraceError('INTERNAL', {
      message: 'The end of a transaction was asked for before its changes were read.',
      remedy: 'Please report it.',
    });
  }

  async *#read(): AsyncGenerator<ChangePart, void, undefined> {
    try {
      for (;;) {
        const next = this.#waiting.shift();
        if (next) {
          this.#onTaken(next.bytes);
          yield next.part;
        } else if (this.#position !== null && !this.#abandoned) return;
        else if (this.#failure !== undefined) throw this.#failure;
        else
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
    } finally {
      if (this.#position === null || this.#waiting.length > 0) this.abandon();
    }
  }
}
