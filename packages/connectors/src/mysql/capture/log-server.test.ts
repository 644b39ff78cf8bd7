import { describe, expect, test } from 'vitest';
import { dumpRequest } from '../binlog/dump-request.ts';
import { startInFiles } from './log-server.ts';

const large = 5 * 2 ** 30;
const files = [
  { name: 'log.000016', file: 16, bytes: 1000 },
  { name: 'log.000017', file: 17, bytes: large },
  { name: 'log.000018', file: 18, bytes: 157 },
];

describe('where a log is asked for, without GTIDs', () => {
  test.each([
    ['at the place itself', { file: 16, offset: 812 }, { name: 'log.000016', offset: 812 }],
    ['at the end of a file that a request can name', { file: 16, offset: 1000 }, { name: 'log.000016', offset: 1000 }],
    ['in the next file, behind a transaction that crossed 4 GiB', { file: 17, offset: large }, { name: 'log.000018', offset: 4 }],
    ['in front of it, where that cannot be said otherwise', { file: 17, offset: large - 1 }, { name: 'log.000017', offset: 4 }],
    ['in front of it, in the last file too', { file: 18, offset: large }, { name: 'log.000018', offset: 4 }],
  ])('%s', (_, place, start) => {
    expect(startInFiles(files, place)).toEqual(start);
    const request = dumpRequest('mysql', { place: { by: 'file', ...start }, serverId: 1, uuid: '' });
    expect(request.readUInt32LE(1)).toBe(start.offset);
  });
});
