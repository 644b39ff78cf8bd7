import { displayWidth } from '../text/width.ts';

/** The part of a terminal's screen below the last line printed, on which lines are drawn again and again. */
export class Screen implements Disposable {
  readonly #stream: NodeJS.WriteStream;
  #drawn: readonly string[] = [];
  readonly #restore = (): void => this[Symbol.dispose]();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#stream.write(hideCursor);
    process.on('exit', this.#restore);
  }

  get width(): number {
    return this.#stream.columns || 80;
  }

  get height(): number {
    return this.#stream.rows || 24;
  }

  /** Replaces what was drawn, in one write and only line by line, so that nothing flickers. */
  draw(lines: readonly string[]): void {
    const body = lines.map((line) => `${line}${clearToEnd}\n`).join('');
    this.#stream.write(`${beginUpdate}${this.#backToTop()}${body}${clearBelow}${endUpdate}`);
    this.#drawn = lines;
  }

  /** Prints above the drawn lines, where it stays. */
  print(text: string): void {
    this.#stream.write(`${beginUpdate}${this.#backToTop()}${clearBelow}${text}\n`);
    const lines = this.#drawn;
    this.#drawn = [];
    this.draw(lines);
  }

  /** Leaves the last lines on the screen and gives the cursor back. */
  [Symbol.dispose](): void {
    process.off('exit', this.#restore);
    this.#stream.write(showCursor);
  }

  /** Lines that were drawn on a wider screen may take several rows by now. */
  #backToTop(): string {
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / this.width)), 0);
    return rows > 0 ? `\u001b[${Math.min(rows, this.height - 1)}A\r` : '\r';
  }
}

const hideCursor = '\u001b[?25l';
const showCursor = '\u001b[?25h';
const clearToEnd = '\u001b[K';
const clearBelow = '\u001b[J';
/** Terminals that know synchronized updates show the frame when it is whole; others ignore this. */
const beginUpdate = '\u001b[?2026h';
const endUpdate = '\u001b[?2026l';
