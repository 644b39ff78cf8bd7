import { expect, test } from 'vitest';
import { parseGrants } from './grants.ts';

const user = 'loader@%';
const to = 'TO `loader`@`%`';
const orders = { database: 'shop_1', name: 'orders' };

test.each([
  [[`GRANT ALL PRIVILEGES ON *.* ${to} WITH GRANT OPTION`], true],
  [[`GRANT SELECT, PROCESS, TRIGGER ON *.* ${to} IDENTIFIED BY PASSWORD '*E6C'`], true],
  [[`GRANT USAGE ON *.* ${to}`, `GRANT SELECT, INSERT, TRIGGER ON \`shop\\_1\`.* ${to}`], true],
  [[`GRANT ALL PRIVILEGES ON \`shop\\_1\`.* ${to}`], true],
  [[`GRANT TRIGGER ON \`shop%\`.* ${to}`], true],
  // The server takes the closer one of the two.
  [[`GRANT TRIGGER ON \`shop%\`.* ${to}`, `GRANT SELECT ON \`shop\\_1\`.* ${to}`], false],
  [[`GRANT SELECT (id, \`total\`), TRIGGER ON \`shop_1\`.\`orders\` ${to}`], true],
  [[`GRANT TRIGGER ON \`shop_1\`.\`others\` ${to}`], false],
  [[`GRANT TRIGGER ON \`shop\\_2\`.* ${to}`], false],
  [[`GRANT SELECT ON \`TRIGGER\`.* ${to}`, `GRANT EXECUTE ON PROCEDURE \`shop_1\`.\`TRIGGER\` ${to}`], false],
  [[`GRANT SELECT, INSERT ON *.* ${to}`], false],
  [[`GRANT \`writers\`@\`%\` ${to}`, 'GRANT ALL PRIVILEGES ON *.* TO `writers`@`%`'], false],
  [[`GRANT SELECT, TRIGGER ON *.* ${to}`, 'REVOKE TRIGGER ON `shop_1`.* FROM `loader`@`%`'], false],
  [[], false],
])('%j: whether triggers are visible is %s', (lines, expected) => {
  expect(parseGrants(lines, user).on('TRIGGER', orders)).toBe(expected);
});
