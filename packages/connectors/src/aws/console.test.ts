import { expect, test } from 'vitest';
import { consoleLink } from './console.ts';

test('links go to the console of the partition', () => {
  expect(consoleLink('eu-west-1', 'x')).toBe('https://eu-west-1.console.aws.amazon.com/x');
  expect(consoleLink('cn-north-1', 'x')).toBe('https://console.amazonaws.cn/x');
  expect(consoleLink('us-gov-west-1', 'x')).toBe('https://console.amazonaws-us-gov.com/x');
});
