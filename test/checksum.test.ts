import { expect, test } from 'vitest';
import { checksum } from './checksum.ts';

// "123456789" is the check input of the CRC catalogue (https://reveng.sourceforge.io/crc-catalogue/).
test.each([
  ['crc32', 'cbf43926'],
  ['crc32c', 'e3069283'],
  ['crc64nvme', 'ae8b14860a799888'],
])('%s agrees with the CRC catalogue', (algorithm, expected) => {
  expect(Buffer.from(checksum(algorithm, Buffer.from('123456789')) ?? '', 'base64').toString('hex')).toBe(expected);
});
