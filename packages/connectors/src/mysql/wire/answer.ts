import {
  type AnswerColumn,
  Fields,
  isEnd,
  isFileRequest,
  isOk,
  isRefusal,
  type Outcome,
  readColumn,
  readEnd,
  readOk,
  readRefusal,
} from './packets.ts';
import { corrupt } from './refusal.ts';

/** What a packet of an answer was. */
export type Told =
  | { readonly at: 'columns' }
  /** All columns have been described; rows follow. */
  | { readonly at: 'rows' }
  | { readonly at: 'row' }
  | { readonly at: 'file' }
  | { readonly at: 'ended'; readonly outcome: Outcome };

/** Where in an answer the next packet stands: count of columns, columns, end, rows, end. */
export class AnswerState {
  columns: AnswerColumn[] = [];
  rows: (string | null)[][] = [];
  #at: 'head' | 'columns' | 'rows' = 'head';
  #expected = 0;

  begin(): void {
    this.columns = [];
    this.rows = [];
    this.#at = 'head';
  }

  /** @throws ServerRefusal */
  read(payload: Buffer): Told {
    if (isRefusal(payload)) throw readRefusal(payload);
    switch (this.#at) {
      case 'head':
        if (isOk(payload)) return { at: 'ended', outcome: readOk(payload) };
        if (isFileRequest(payload)) return { at: 'file' };
        this.#expected = new Fields(payload).length() ?? 0;
        this.#at = 'columns';
        return { at: 'columns' };
      case 'columns':
        if (this.columns.length < this.#expected) {
          this.columns.push(readColumn(payload));
          return { at: 'columns' };
        }
        if (!isEnd(payload)) throw corrupt('its columns have no end');
        this.#at = 'rows';
        return { at: 'rows' };
      case 'rows': {
        if (isEnd(payload)) return { at: 'ended', outcome: readEnd(payload) };
        const fields = new Fields(payload);
        this.rows.push(this.columns.map(() => fields.text()));
        return { at: 'row' };
      }
      default:
        return this.#at satisfies never;
    }
  }
}
