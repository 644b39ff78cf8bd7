import { expect, test } from 'vitest';
import { eventTypes, headerBytes, LogEvent } from './event.ts';
import { readRowsEvent } from './rows.ts';

/** WRITE_ROWS with one row of as many one-byte columns: table 6 | flags 2 | extra 2 | columns | present | nulls | values */
function inserted(columns: number): LogEvent {
  const bytes = Buffer.from([...Buffer.alloc(headerBytes), 1, 0, 0, 0, 0, 0, 1, 0, 2, 0, columns, 0xff, 0, ...Buffer.alloc(columns, 7)]);
  bytes[4] = eventTypes.insertRows;
  bytes.writeUInt32LE(bytes.length, 9);
  const event = new LogEvent();
  event.read(bytes, 0, bytes.length, false);
  return event;
}

test('rows must have as many columns as their table map has told of', () => {
  expect(readRowsEvent(inserted(3), 3)).toMatchObject({ kind: 'insert', before: Buffer.from([0xff]) });
  for (const columns of [2, 4]) {
    expect(() => readRowsEvent(inserted(columns), 3)).toThrow(
      expect.objectContaining({ code: 'WIRE_CORRUPT', message: expect.stringContaining(`rows of ${columns} columns in a table of 3`) }),
    );
  }
});
