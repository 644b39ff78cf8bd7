import { MillraceError } from '@millrace/core/runtime';

/** What is wanted of a page: where its list of records is, and values beside the list, by name. */
export interface Wanted {
  readonly records: readonly string[];
  readonly values: Readonly<Record<string, readonly string[]>>;
}

/** What stood where the list of records was to be. */
export type ListFound = 'list' | 'null' | 'absent';

export interface Scanned {
  readonly list: ListFound;
  readonly records: number;
  /** Strings, numbers, booleans and null; what a page does not have is not there. A number is its digits. */
  readonly values: ReadonlyMap<string, string | boolean | null>;
}

interface Place {
  readonly inside: Map<string, Place>;
  isList: boolean;
  value: string | null;
}

interface Container {
  readonly isArray: boolean;
  readonly place: Place | null;
  /** Of an array: the number of the element that comes. */
  index: number;
}

/** What a value is gone through for. */
type Purpose = { readonly kind: 'skip' | 'record' | 'key' } | { readonly kind: 'value'; readonly name: string };

/** What comes next, between values. */
type Expecting = 'value' | 'value or ]' | 'key or }' | 'key' | ':' | ', or ]' | ', or }' | 'nothing';

const [quote, backslash, comma, colon, openList, closeList, openObject, closeObject] = [34, 92, 44, 58, 91, 93, 123, 125];
const byteOrderMark = [0xef, 0xbb, 0xbf];
/** A name or a value beside the records is never longer. */
const mostBytes = 64 * 1024;

/**
 * Reads a page of JSON as it comes, in memory for one record: hands over the bytes of each record of the list, and keeps the few values
 * that say how to go on. What surrounds the records is held against the grammar; records are handed over by their brackets, for
 * whoever takes them reads them to the letter.
 *
 * @throws WIRE_CORRUPT where it is no JSON or ends early, REMOTE_REFUSED where there is no list
 */
export class PageScanner {
  readonly #record: (bytes: Buffer) => void;
  readonly #recordBytes: number;
  readonly #values = new Map<string, string | boolean | null>();
  readonly #root: Place;
  readonly #stack: Container[] = [];

  /** `#data` from `#keep` to `#filled` is still needed; `#at` is the next byte to look at. */
  #data: Buffer = Buffer.alloc(0);
  #filled = 0;
  /** False while `#data` is a chunk as it came. */
  #isOwn = false;
  #at = 0;
  #seen = 0;
  #expecting: Expecting = 'value';
  #key = '';

  /** Of the value that is being gone through: where it begins, where kept; how deep; what it is for. */
  #inside: 'string' | 'word' | 'container' | null = null;
  #from = -1;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #purpose: Purpose = skip;

  #list: ListFound = 'absent';
  #records = 0;

  constructor(wanted: Wanted, record: (bytes: Buffer) => void, recordBytes = 32 * 1024 * 1024) {
    this.#record = record;
    this.#recordBytes = recordBytes;
    this.#root = placesOf(wanted);
  }

  push(chunk: Buffer): void {
    this.#take(chunk);
    while (this.#at < this.#filled) {
      if (this.#inside === null) this.#between();
      else if (!this.#through()) break;
    }
    const open = this.#from >= 0 ? this.#filled - this.#from : 0;
    const limit = this.#purpose.kind === 'record' ? this.#recordBytes : mostBytes;
    if (open > limit) throw this.#tooLong(limit);
  }

  end(): Scanned {
    // A number at the root has no end but the page's.
    if (this.#inside === 'word' && this.#stack.length === 0) this.#finish(this.#filled);
    if (this.#inside !== null || this.#expecting !== 'nothing') throw this.#corrupt('it ends in the middle');
    return { list: this.#list, records: this.#records, values: this.#values };
  }

  /** Behind what is still needed: in the room that is left, or in new memory. */
  #take(chunk: Buffer): void {
    const keep = this.#from >= 0 ? this.#from : this.#at;
    const rest = this.#filled - keep;
    if (rest > 0 && this.#isOwn && this.#data.length - this.#filled >= chunk.length) {
      chunk.copy(this.#data, this.#filled);
      this.#filled += chunk.length;
      return;
    }
    if (rest > 0) {
      const larger = Buffer.allocUnsafeSlow((rest + chunk.length) * 2);
      this.#data.copy(larger, 0, keep, this.#filled);
      chunk.copy(larger, rest);
      this.#data = larger;
    } else this.#data = chunk;
    this.#isOwn = rest > 0;
    this.#filled = rest + chunk.length;
    this.#seen += keep;
    this.#at -= keep;
    if (this.#from >= 0) this.#from = 0;
  }

  /** One byte outside any value. */
  #between(): void {
    const byte = this.#data[this.#at]!;
    if (byte === 32 || byte === 10 || byte === 13 || byte === 9) return void this.#at++;
    if (byte === byteOrderMark[this.#seen + this.#at]) return void this.#at++;
    const top = this.#stack.at(-1);
    switch (this.#expecting) {
      case 'nothing':
        throw this.#corrupt('something stands behind its end');
      case 'value or ]':
      case 'value':
        if (byte === closeList && this.#expecting === 'value or ]') return this.#leave();
        return this.#begin(byte, this.#placeHere());
      case 'key or }':
      case 'key':
        if (byte === closeObject && this.#expecting === 'key or }') return this.#leave();
        if (byte !== quote) throw this.#corrupt('a name is missing');
        return this.#enter('string', keyPurpose);
      case ':':
        if (byte !== colon) throw this.#corrupt('a ":" is missing');
        this.#expecting = 'value';
        return void this.#at++;
      case ', or ]':
        if (byte === closeList) return this.#leave();
        if (byte !== comma) throw this.#corrupt('a "," is missing in a list');
        top!.index++;
        this.#expecting = 'value';
        return void this.#at++;
      case ', or }':
        if (byte === closeObject) return this.#leave();
        if (byte !== comma) throw this.#corrupt('a "," is missing between names');
        this.#expecting = 'key';
        return void this.#at++;
      default:
        this.#expecting satisfies never;
    }
  }

  #placeHere(): Place | null {
    const top = this.#stack.at(-1);
    if (!top) return this.#root;
    if (top.place === null) return null;
    // An element of the list itself.
    if (top.place.isList) return top.place;
    return top.place.inside.get(top.isArray ? String(top.index) : this.#key) ?? null;
  }

  /** A value begins with this byte. */
  #begin(byte: number, place: Place | null): void {
    const top = this.#stack.at(-1);
    const inList = top?.place?.isList === true && top.isArray;
    const isContainer = byte === openList || byte === openObject;
    if (inList) {
      this.#records++;
      return this.#enter(isContainer ? 'container' : byte === quote ? 'string' : 'word', recordPurpose);
    }
    if (place?.isList) {
      if (byte === openList) this.#list = 'list';
      else if (byte === 110) this.#list = 'null';
      else
        throw startsValue.test(String.fromCharCode(byte))
          ? this.#noList()
          : this.#corrupt(`"${String.fromCharCode(byte)}" begins no value`);
    }
    if (isContainer && place && (place.isList || place.inside.size > 0)) {
      this.#stack.push({ isArray: byte === openList, place, index: 0 });
      this.#expecting = byte === openList ? 'value or ]' : 'key or }';
      return void this.#at++;
    }
    const wanted = !isContainer && place?.value != null;
    this.#enter(
      isContainer ? 'container' : byte === quote ? 'string' : 'word',
      wanted ? { kind: 'value', name: place?.value as string } : skip,
    );
  }

  #enter(inside: 'string' | 'word' | 'container', purpose: Purpose): void {
    this.#inside = inside;
    this.#purpose = purpose;
    this.#from = purpose.kind === 'skip' && inside !== 'word' ? -1 : this.#at;
    this.#depth = 0;
    this.#inString = false;
    this.#escaped = false;
    if (inside === 'string') {
      this.#inString = true;
      this.#at++;
    }
  }

  /** Goes on within a value. False where its end has not come yet. */
  #through(): boolean {
    const data = this.#data;
    const filled = this.#filled;
    let at = this.#at;
    if (this.#inside === 'word') {
      while (at < filled && !endsWord(data[at]!)) at++;
      this.#at = at;
      if (at === filled) return false;
      this.#finish(at);
      return true;
    }
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    const isString = this.#inside === 'string';
    while (at < filled) {
      const byte = data[at++]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) {
          inString = false;
          if (isString) return this.#finishAt(at);
        }
      } else if (byte === quote) inString = true;
      else if (byte === openObject || byte === openList) depth++;
      else if ((byte === closeObject || byte === closeList) && --depth === 0) return this.#finishAt(at);
    }
    this.#at = at;
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    return false;
  }

  #finishAt(end: number): true {
    this.#at = end;
    this.#finish(end);
    return true;
  }

  #finish(end: number): void {
    const purpose = this.#purpose;
    const bytes = this.#from >= 0 ? this.#data.subarray(this.#from, end) : null;
    if (this.#inside === 'word' && !word.test(bytes!.toString('latin1'))) throw this.#corrupt(`${shown(bytes!)} is not a value`);
    this.#inside = null;
    this.#from = -1;
    this.#purpose = skip;
    if (purpose.kind === 'key') {
      this.#key = this.#parsed(bytes!) as string;
      this.#expecting = ':';
      return;
    }
    this.#afterValue();
    if (purpose.kind === 'record') {
      if (bytes!.length > this.#recordBytes) throw this.#tooLong(this.#recordBytes);
      this.#record(bytes!);
    } else if (purpose.kind === 'value') {
      const value = this.#parsed(bytes!);
      this.#values.set(purpose.name, typeof value === 'number' ? bytes!.toString('latin1') : (value as string | boolean | null));
    }
  }

  #afterValue(): void {
    const top = this.#stack.at(-1);
    this.#expecting = !top ? 'nothing' : top.isArray ? ', or ]' : ', or }';
  }

  #leave(): void {
    this.#stack.pop();
    this.#at++;
    this.#afterValue();
  }

  #parsed(bytes: Buffer): unknown {
    try {
      return JSON.parse(bytes.toString('utf8'));
    } catch {
      throw this.#corrupt(`${shown(bytes)} is not a value`);
    }
  }

  #corrupt(why: string): MillraceError {
    return new MillraceError('WIRE_CORRUPT', {
      message: `The answer is not whole JSON: ${why} (byte ${this.#seen + this.#at}).`,
      remedy: 'Tried again; where it happens each time, look at what the API answers.',
      facts: { byte: this.#seen + this.#at },
    });
  }

  #noList(): MillraceError {
    return new MillraceError('REMOTE_REFUSED', {
      message: 'Where the list of records should be, the answer has something else.',
      remedy: 'Say with records where in the answer the list is: records: "data.items".',
    });
  }

  #tooLong(limit: number): MillraceError {
    return new MillraceError('MEMORY_EXHAUSTED', {
      message: `A single ${this.#purpose.kind === 'record' ? 'record' : 'value'} of the answer has more than ${limit} bytes.`,
      remedy: 'Ask the API for fewer fields, or raise maxRecordBytes.',
      facts: { limit },
    });
  }
}

const skip = { kind: 'skip' } as const;
const keyPurpose = { kind: 'key' } as const;
const recordPurpose = { kind: 'record' } as const;

const shown = (bytes: Buffer): string => JSON.stringify(bytes.toString('utf8', 0, 40));

const word = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
const startsValue = /[[{"\-\dtf]/;
const endsWord = (byte: number): boolean =>
  byte === comma || byte === closeList || byte === closeObject || byte === 32 || byte === 10 || byte === 13 || byte === 9;

function placesOf({ records, values }: Wanted): Place {
  const root: Place = { inside: new Map(), isList: false, value: null };
  const at = (path: readonly string[]): Place => {
    let place = root;
    for (const part of path) {
      const next = place.inside.get(part) ?? { inside: new Map(), isList: false, value: null };
      place.inside.set(part, next);
      place = next;
    }
    return place;
  };
  at(records).isList = true;
  for (const [name, path] of Object.entries(values)) at(path).value = name;
  return root;
}
