/** A piece of a statement: a word, a quoted name, a text in quotes, or one character of punctuation. */
export interface Word {
  readonly kind: 'word' | 'name' | 'text' | 'mark';
  /** Without its quotes. */
  readonly text: string;
  /** For keywords: `text` in upper case where it is a bare word, else empty. */
  readonly key: string;
  /** Where it begins and ends in the statement. */
  readonly start: number;
  readonly end: number;
}

const blank = /\s/;
const bare = /[0-9A-Za-z_$\u0080-\uffff]/;

/** How a session wrote its statements. */
export interface Dialect {
  /** Double quotes are for names. */
  readonly ansiQuotes?: boolean;
  /** A backslash within a text is a character like any other. */
  readonly plainBackslashes?: boolean;
  readonly isMariaDb?: boolean;
}

/**
 * Cuts a statement into words. Comments are left out, but those that its server has executed (`/*!80000 … *\/`, `/*M! … *\/` of MariaDB) are read: the
 * log has no others in this form.
 */
export function wordsOf(sql: string, { ansiQuotes = false, plainBackslashes = false, isMariaDb = true }: Dialect = {}): Word[] {
  const executedComment = isMariaDb ? /^\/\*M?!\d{0,6}/ : /^\/\*!\d{0,6}/;
  const words: Word[] = [];
  let at = 0;
  while (at < sql.length) {
    const char = sql[at] as string;
    const next = sql[at + 1];
    if (blank.test(char)) at++;
    else if (char === '#' || (char === '-' && next === '-' && (at + 2 >= sql.length || blank.test(sql[at + 2] as string)))) {
      const end = sql.indexOf('\n', at);
      at = end < 0 ? sql.length : end + 1;
    } else if (char === '/' && next === '*') {
      const executed = executedComment.exec(sql.slice(at, at + 12));
      if (executed) at += executed[0].length;
      else {
        const end = sql.indexOf('*/', at + 2);
        at = end < 0 ? sql.length : end + 2;
      }
    } else if (char === '*' && next === '/') at += 2;
    else if (char === '`' || char === '"' || char === "'") {
      const { text, end } = quoted(sql, at, char, plainBackslashes);
      const kind = char === '`' || (char === '"' && ansiQuotes) ? 'name' : 'text';
      words.push({ kind, text, key: '', start: at, end });
      at = end;
    } else if (bare.test(char)) {
      let end = at + 1;
      while (end < sql.length && bare.test(sql[end] as string)) end++;
      const text = sql.slice(at, end);
      words.push({ kind: 'word', text, key: text.toUpperCase(), start: at, end });
      at = end;
    } else {
      words.push({ kind: 'mark', text: char, key: '', start: at, end: at + 1 });
      at++;
    }
  }
  return words;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', '0': '\0', Z: '\u001a' };

function quoted(sql: string, start: number, quote: string, plainBackslashes: boolean): { readonly text: string; readonly end: number } {
  let text = '';
  let at = start + 1;
  for (; at < sql.length; at++) {
    const char = sql[at] as string;
    if (char === '\\' && quote !== '`' && !plainBackslashes) {
      const escaped = sql[++at] ?? '';
      // Before % and _ the backslash stays.
      text += escapes[escaped] ?? (escaped === '%' || escaped === '_' ? `\\${escaped}` : escaped);
    } else if (char !== quote) text += char;
    else if (sql[at + 1] === quote) text += sql[++at];
    else break;
  }
  return { text, end: at + 1 };
}

/** Reads words one after the other. */
export class WordReader {
  readonly #words: readonly Word[];
  #at: number;
  readonly #end: number;

  constructor(words: readonly Word[], at = 0, end = words.length) {
    this.#words = words;
    this.#at = at;
    this.#end = end;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#end;
  }

  peek(ahead = 0): Word | undefined {
    return this.#at + ahead < this.#end ? this.#words[this.#at + ahead] : undefined;
  }

  next(): Word | undefined {
    const word = this.peek();
    if (word) this.#at++;
    return word;
  }

  /** What comes next, for another one to read. */
  rest(): WordReader {
    return new WordReader(this.#words, this.#at, this.#end);
  }

  /** Moves over the keywords where they come next, in this order. */
  skip(...keys: readonly string[]): boolean {
    if (!keys.every((key, ahead) => this.peek(ahead)?.key === key)) return false;
    this.#at += keys.length;
    return true;
  }

  skipMark(mark: string): boolean {
    const word = this.peek();
    if (word?.kind !== 'mark' || word.text !== mark) return false;
    this.#at++;
    return true;
  }

  /** Moves behind a keyword that is in no parentheses, and answers whether there is one; to the end where there is none. */
  skipTo(key: string): boolean {
    while (!this.isAtEnd) {
      if (this.skip(key)) return true;
      if (!this.parentheses()) this.next();
    }
    return false;
  }

  /** A name, quoted or not; null where none comes next. */
  name(): string | null {
    const word = this.peek();
    if (word?.kind !== 'word' && word?.kind !== 'name') return null;
    this.#at++;
    return word.text;
  }

  /** `schema.table` or `table`. */
  tableName(schema: string): { readonly schema: string; readonly name: string } | null {
    const first = this.name();
    if (first === null) return null;
    if (!this.skipMark('.')) return { schema, name: first };
    const second = this.name();
    return second === null ? null : { schema: first, name: second };
  }

  /** What comes before the next comma that is in no parentheses, and moves behind that comma; null at the end. */
  item(): WordReader | null {
    if (this.isAtEnd) return null;
    let depth = 0;
    const from = this.#at;
    for (; this.#at < this.#end; this.#at++) {
      const word = this.#words[this.#at] as Word;
      if (word.kind !== 'mark') continue;
      if (word.text === '(') depth++;
      else if (word.text === ')') depth--;
      else if (word.text === ',' && depth === 0) return new WordReader(this.#words, from, this.#at++);
    }
    return new WordReader(this.#words, from, this.#end);
  }

  /** What stands in the parentheses that come next, and moves behind them; null where none come. */
  parentheses(): WordReader | null {
    if (!this.skipMark('(')) return null;
    const from = this.#at;
    for (let depth = 1; this.#at < this.#end; this.#at++) {
      const word = this.#words[this.#at] as Word;
      if (word.kind !== 'mark') continue;
      if (word.text === '(') depth++;
      else if (word.text === ')' && --depth === 0) return new WordReader(this.#words, from, this.#at++);
    }
    return null;
  }

  /** Whether a keyword comes anywhere, outside of parentheses. */
  has(...keys: readonly string[]): boolean {
    let depth = 0;
    for (let at = this.#at; at < this.#end; at++) {
      const word = this.#words[at] as Word;
      if (word.kind === 'mark' && word.text === '(') depth++;
      else if (word.kind === 'mark' && word.text === ')') depth--;
      else if (depth === 0 && keys.every((key, ahead) => this.#words[at + ahead]?.key === key)) return true;
    }
    return false;
  }
}
