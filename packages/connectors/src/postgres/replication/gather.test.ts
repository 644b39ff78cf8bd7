import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { gathering } from './gather.ts';

test.for([
  ['goes on after a rest', true, ['stop', 'start']],
  ['is left to its stream where that has stopped it meanwhile', false, ['stop']],
] as const)('a handle that is read in small pieces %s', async ([, reading, expected]) => {
  const calls: string[] = [];
  const handle = { reading: true, readStart: () => calls.push('start'), readStop: () => calls.push('stop') };
  const afterRead = gathering({ destroyed: false, _handle: handle });
  for (let read = 0; read <= 8; read++) afterRead(100, 1);
  handle.reading = reading;
  await sleep(20);
  expect(calls).toEqual(expected);
});
