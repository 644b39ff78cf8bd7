import fc from 'fast-check';
import { expect, test } from 'vitest';
import { header } from '../wire/packets.ts';
import { Packets } from './packets.ts';

const packet = (payload: Buffer, sequence: number): Buffer => Buffer.concat([header(payload.length, sequence), payload]);

test('payloads come out as they went in, wherever the stream is cut and whoever stops it meanwhile', () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(payloads, fc.array(fc.nat(800), { maxLength: 12 }), fc.nat(12), (given, cuts, stopAt) => {
      const bytes = Buffer.concat(given.map((payload, place) => packet(Buffer.from(payload), (place + 1) & 255)));
      const taken: string[] = [];
      const packets = new Packets((from, start, end) => {
        taken.push(from.toString('hex', start, end));
        if (taken.length === stopAt) packets.stop();
      });
      const bounds = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      for (const [place, start] of bounds.slice(0, -1).entries()) packets.push(bytes.subarray(start, bounds[place + 1]));
      if (stopAt > 0 && stopAt < given.length) expect(taken).toHaveLength(stopAt);
      packets.go();
      expect(taken).toEqual(given.map((payload) => Buffer.from(payload).toString('hex')));
      expect(packets.isBetween).toBe(true);
    }),
  );
});

test('a payload of 16 MiB and more comes in several packets and is one', () => {
  const payload = Buffer.alloc(0xff_ffff + 5, 'abcdefg');
  const taken: Buffer[] = [];
  const packets = new Packets((from, start, end) => taken.push(from.subarray(start, end)));
  packets.push(packet(payload.subarray(0, 0xff_ffff), 1));
  expect(packets.isBetween).toBe(false);
  packets.push(packet(payload.subarray(0xff_ffff), 2));
  expect(taken).toHaveLength(1);
  expect(taken[0]?.equals(payload)).toBe(true);
});

test('a packet that is missing is noticed', () => {
  const packets = new Packets(() => {});
  packets.push(packet(Buffer.from('a'), 1));
  expect(() => packets.push(packet(Buffer.from('c'), 3))).toThrow('packet 3 where 2 was due');
});
