import type { SchemaChange } from '@millrace/core/runtime';

/** Changes of one table that a few statements apply together: first those that keep each row where it is, then rows that get another key. */
export interface Round {
  readonly kind: 'round';
  readonly table: string;
  /** Which staged columns they have. */
  readonly staged: string;
  readonly key: readonly string[];
  /** Numbers of the staged rows: from here, and before there. */
  readonly from: number;
  readonly to: number;
  readonly hasChanges: boolean;
  readonly hasMoves: boolean;
  /** Columns that some change leaves as they were without saying what they are. */
  readonly unknown: ReadonlySet<string>;
  readonly unknownOfMoves: ReadonlySet<string>;
}

export type Step =
  | Round
  | { readonly kind: 'truncate'; readonly table: string; readonly at: string }
  | { readonly kind: 'schema'; readonly change: SchemaChange };

interface Growing {
  readonly table: string;
  readonly staged: string;
  readonly key: readonly string[];
  readonly from: number;
  to: number;
  hasChanges: boolean;
  readonly unknown: Set<string>;
  readonly unknownOfMoves: Set<string>;
  readonly movedFrom: Set<string>;
  readonly movedTo: Set<string>;
}

/** Keys of a round's moves are remembered; more of them begin another round. */
const mostMoves = 20_000;

/**
 * Puts changes into rounds. A row that gets another key and brings all its values is a delete and an insert. One that does not bring them all
 * (a large value that did not change is not sent) takes them along from the row that is in the table: a move. Within a round all other
 * changes come first, so a change of a key that a move of the round has touched, and a move of a row that a move of the round has made, begin the next.
 */
export class Rounds {
  readonly #steps: (Step | Growing)[] = [];
  readonly #growing = new Map<string, Growing>();
  #next = 0;

  get steps(): Step[] {
    return this.#steps.map((step) => ('kind' in step ? step : { ...step, kind: 'round', hasMoves: step.movedFrom.size > 0 }));
  }

  get stepCount(): number {
    return this.#steps.length;
  }

  /** The next number for a row that stays where it is, or goes. */
  change(of: RoundOf, key: string, unknown: readonly string[] = []): number {
    const round = this.#of(of, ({ movedFrom, movedTo }) => movedFrom.has(key) || movedTo.has(key));
    round.hasChanges = true;
    for (const name of unknown) round.unknown.add(name);
    return this.#number(round, 1);
  }

  /** The first of the two next numbers, for a row that was at `from` and is at `to`. */
  move(of: RoundOf, from: string, to: string, unknown: readonly string[]): number {
    const round = this.#of(
      of,
      ({ movedFrom, movedTo }) => movedTo.has(from) || movedTo.has(to) || movedFrom.has(from) || movedFrom.size >= mostMoves,
    );
    for (const name of unknown) round.unknownOfMoves.add(name);
    round.movedFrom.add(from);
    round.movedTo.add(to);
    return this.#number(round, 2);
  }

  truncate(table: string, at: string): void {
    this.#growing.delete(table);
    this.#steps.push({ kind: 'truncate', table, at });
  }

  schema(change: SchemaChange): void {
    this.#growing.delete(change.table);
    this.#steps.push({ kind: 'schema', change });
  }

  #of({ table, staged, key }: RoundOf, isTouched: (round: Growing) => boolean): Growing {
    const found = this.#growing.get(table);
    if (found && found.staged === staged && !isTouched(found)) return found;
    const round: Growing = {
      table,
      staged,
      key,
      from: this.#next,
      to: this.#next,
      hasChanges: false,
      unknown: new Set(),
      unknownOfMoves: new Set(),
      movedFrom: new Set(),
      movedTo: new Set(),
    };
    this.#growing.set(table, round);
    this.#steps.push(round);
    return round;
  }

  #number(round: Growing, rows: number): number {
    const number = this.#next;
    this.#next += rows;
    round.to = this.#next;
    return number;
  }
}

export type RoundOf = Pick<Round, 'table' | 'staged' | 'key'>;
