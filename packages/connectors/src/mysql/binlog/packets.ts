import { corrupt } from './corrupt.ts';

/** A payload of this length is continued in the next packet. */
const longest = 0xff_ffff;
const headerBytes = 4;

/**
 * Cuts what comes from a socket into payloads: three bytes of length, one of sequence, the payload; those of 16 MiB and more come in several packets
 * and are put together. Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
 */
export class Packets {
  readonly #take: (bytes: Buffer, start: number, end: number) => void;
  /** Pieces of a packet that is not whole yet. */
  #pieces: Buffer[] = [];
  #held = 0;
  #wanted = headerBytes;
  /** Packets of a payload that goes on in the next one. */
  #long: Buffer[] = [];
  #sequence: number;
  #isStopped = false;

  /** `take` is told of a payload as places in bytes that stay as they are. `sequence`: of the first packet. */
  constructor(take: (bytes: Buffer, start: number, end: number) => void, sequence = 1) {
    this.#take = take;
    this.#sequence = sequence;
  }

  /** A command is answered with packets that are counted anew. */
  begin(sequence = 1): void {
    this.#sequence = sequence;
  }

  /** True where nothing of a packet is waiting for its rest. */
  get isBetween(): boolean {
    return this.#held === 0 && this.#long.length === 0;
  }

  /** What comes is kept until `go`. */
  stop(): void {
    this.#isStopped = true;
  }

  go(): void {
    this.#isStopped = false;
    if (this.#held >= this.#wanted) this.#cut(this.#all());
  }

  /** @throws WIRE_CORRUPT, and what `take` throws */
  push(chunk: Buffer): void {
    if (this.#held === 0 && !this.#isStopped) return this.#cut(chunk);
    this.#pieces.push(chunk);
    this.#held += chunk.length;
    if (this.#held >= this.#wanted && !this.#isStopped) this.#cut(this.#all());
  }

  #all(): Buffer {
    const all = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces, this.#held);
    this.#pieces = [];
    this.#held = 0;
    return all;
  }

  #cut(bytes: Buffer): void {
    let at = 0;
    while (!this.#isStopped && bytes.length - at >= headerBytes) {
      const length = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
      if (bytes.length - at < headerBytes + length) {
        this.#keep(bytes, at, headerBytes + length);
        return;
      }
      const sequence = bytes[at + 3]!;
      if (sequence !== this.#sequence) throw corrupt(`packet ${sequence} where ${this.#sequence} was due`);
      this.#sequence = (sequence + 1) & 255;
      const start = at + headerBytes;
      at = start + length;
      this.#packet(bytes, start, at);
    }
    this.#keep(bytes, at, headerBytes);
  }

  #keep(bytes: Buffer, at: number, wanted: number): void {
    this.#wanted = wanted;
    if (at === bytes.length) return;
    this.#pieces = [at === 0 ? bytes : bytes.subarray(at)];
    this.#held = bytes.length - at;
  }

  #packet(bytes: Buffer, start: number, end: number): void {
    if (end - start === longest) {
      this.#long.push(bytes.subarray(start, end));
      return;
    }
    if (this.#long.length === 0) return this.#take(bytes, start, end);
    const whole = Buffer.concat([...this.#long, bytes.subarray(start, end)]);
    this.#long = [];
    this.#take(whole, 0, whole.length);
  }
}
