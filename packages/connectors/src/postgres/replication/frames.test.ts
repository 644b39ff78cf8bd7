import fc from 'fast-check';
import { expect, test } from 'vitest';
import { frames } from './frames.ts';

const message = fc.tuple(fc.constantFrom('d', 'd', 'd', 'S', 'N'), fc.uint8Array({ maxLength: 40 }));

test('messages come out whole and in order, however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.nat({ max: 30 })), (messages, cuts) => {
      const heard: [string, string][] = [];
      const split = frames({
        data: (bytes, start, end) => void heard.push(['d', bytes.toString('hex', start, end)]),
        other: (one) => heard.push([String.fromCharCode(one[0]!), one.toString('hex', 5)]) > 0,
        rest: () => expect.unreachable(),
      });
      for (const chunk of chunks(Buffer.concat(messages.map(frame)), cuts)) split(chunk);
      expect(heard).toEqual(messages.map(([type, body]) => [type, Buffer.from(body).toString('hex')]));
    }),
  );
});

test('bytes after the last message of a stream are handed over as they are', () => {
  fc.assert(
    fc.property(message, fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.array(fc.nat({ max: 10 })), (first, after, cuts) => {
      const rest: Buffer[] = [];
      let over = false;
      const split = frames({
        data: () => {},
        other: (one) => {
          over = one[0] === 0x5a;
          return !over;
        },
        rest: (bytes) => void rest.push(bytes),
      });
      const stream = Buffer.concat([frame(first), frame(['Z', Uint8Array.of(0x49)]), after]);
      for (const chunk of chunks(stream, cuts))
        if (over) rest.push(chunk);
        else split(chunk);
      expect(Buffer.concat(rest)).toEqual(Buffer.from(after));
    }),
  );
});

test('slices of a message may be kept while others come', () => {
  const kept: Buffer[] = [];
  const split = frames({ data: (bytes, start, end) => void kept.push(bytes.subarray(start, end)), other: () => true, rest: () => {} });
  const stream = Buffer.concat(Array.from({ length: 50 }, (_, n) => frame(['d', Buffer.from(`message ${n}`)])));
  for (let at = 0; at < stream.length; at += 7) split(Buffer.from(stream.subarray(at, at + 7)));
  expect(kept.map(String)).toEqual(Array.from({ length: 50 }, (_, n) => `message ${n}`));
});

test('a length that cannot be is refused before anything is made for it', () => {
  for (const length of [0, 3, -1]) {
    const bytes = Buffer.alloc(16, 1);
    bytes.writeInt32BE(length, 1);
    for (const pieces of [[bytes], [bytes.subarray(0, 3), bytes.subarray(3)]]) {
      const split = frames({ data: () => expect.unreachable(), other: () => expect.unreachable(), rest: () => {} });
      expect(() => pieces.forEach(split)).toThrow(/a message of .* bytes/);
    }
  }
});

function frame([type, body]: [string, Uint8Array]): Buffer {
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write(type, 'latin1');
  bytes.writeInt32BE(4 + body.length, 1);
  bytes.set(body, 5);
  return bytes;
}

/** Copies, as the chunks of a socket share nothing. */
function chunks(stream: Buffer, cuts: readonly number[]): Buffer[] {
  const all: Buffer[] = [];
  let at = 0;
  for (const cut of cuts) {
    all.push(Buffer.from(stream.subarray(at, at + cut)));
    at += cut;
  }
  return [...all, Buffer.from(stream.subarray(at))];
}
