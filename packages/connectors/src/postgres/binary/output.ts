/** Longer runs are moved by the engine's own copy, which costs a small object; shorter ones by the word. */
const longRun = 160;

/**
 * A buffer that grows, for fields of COPY BINARY. Writers call `room` before they write past what they asked for, and keep
 * `at` behind their last byte.
 */
export class Output {
  bytes: Buffer;
  at = 0;
  #view: DataView;
  #source: Buffer | undefined;
  #sourceView: DataView | undefined;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.#view = viewOf(this.bytes);
  }

  room(size: number): void {
    if (this.at + size > this.bytes.length) this.#grow(size);
  }

  #grow(size: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.at + size));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
    this.#view = viewOf(larger);
  }

  int16(value: number): void {
    this.#view.setInt16(this.at, value);
    this.at += 2;
  }

  int32(value: number): void {
    this.#view.setInt32(this.at, value);
    this.at += 4;
  }

  /** A whole number within 53 bits, as an int64. */
  int64(value: number): void {
    const high = Math.floor(value / 4_294_967_296);
    this.#view.setInt32(this.at, high);
    this.#view.setUint32(this.at + 4, value - high * 4_294_967_296);
    this.at += 8;
  }

  bigint64(value: bigint): void {
    this.#view.setBigInt64(this.at, value);
    this.at += 8;
  }

  float32(value: number): void {
    this.#view.setFloat32(this.at, value);
    this.at += 4;
  }

  float64(value: number): void {
    this.#view.setFloat64(this.at, value);
    this.at += 8;
  }

  /** Copies `[from, from + size)` of `source`. Room must have been asked for. */
  copy(source: Buffer, from: number, size: number): void {
    let to = this.at;
    this.at += size;
    if (size > longRun) {
      this.bytes.set(new Uint8Array(source.buffer, source.byteOffset + from, size), to);
      return;
    }
    if (source !== this.#source) {
      this.#source = source;
      this.#sourceView = viewOf(source);
    }
    const view = this.#view;
    const sourceView = this.#sourceView!;
    const stop = from + size;
    for (; from + 8 <= stop; from += 8, to += 8) {
      view.setUint32(to, sourceView.getUint32(from));
      view.setUint32(to + 4, sourceView.getUint32(from + 4));
    }
    for (; from < stop; from++, to++) this.bytes[to] = source[from]!;
  }

  /** What has been written, and a new buffer for what comes. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.at);
    this.bytes = Buffer.allocUnsafeSlow(this.bytes.length);
    this.#view = viewOf(this.bytes);
    this.at = 0;
    return taken;
  }
}

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
