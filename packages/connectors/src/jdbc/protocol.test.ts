import { expect, test } from 'vitest';
import { type AnswerFrame, FrameReader } from './protocol.ts';

const frame = (session: number, type: number, payload: string): Buffer => {
  const bytes = Buffer.alloc(12 + payload.length);
  bytes.writeUInt32LE(payload.length, 0);
  bytes.writeUInt32LE(session, 4);
  bytes.writeUInt8(type, 8);
  bytes.write(payload, 12);
  return bytes;
};
const reader = () => {
  const frames: AnswerFrame[] = [];
  return { frames, reader: new FrameReader((one) => frames.push(one)) };
};

test('frames are found wherever chunks end', () => {
  const bytes = Buffer.concat([frame(1, 32, 'one'), frame(2, 64, ''), frame(3, 33, 'three')]);
  for (let size = 1; size <= bytes.length; size++) {
    const { frames, reader: read } = reader();
    for (let at = 0; at < bytes.length; at += size) read.push(bytes.subarray(at, at + size));
    expect(frames.map(({ session, answer, payload }) => `${session} ${answer} ${payload}`)).toEqual([
      '1 done one',
      '2 batch ',
      '3 error three',
    ]);
  }
});

test.each(['Hello from a driver of native code\n', '[INFO] 12:00:00 loaded\n', '\0\0\0\u007f\0\0\0\0\0\0\0\0'])(
  'what a driver prints among the frames is no frame, and nothing is waited for: %j',
  (printed) => {
    const { frames, reader: read } = reader();
    read.push(frame(1, 32, 'one'));
    expect(() => read.push(Buffer.from(printed))).toThrow(expect.objectContaining({ code: 'WIRE_CORRUPT' }));
    expect(frames).toHaveLength(1);
  },
);
