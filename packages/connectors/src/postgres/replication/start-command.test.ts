import { expect, test } from 'vitest';
import { type StreamOptions, startCommand } from './start-command.ts';

const command = (version: number, options: Partial<StreamOptions> = {}): string =>
  startCommand(version, 'shop', 0x16_b374_d848n, { publications: ['p'], ...options });

test('each version is asked for what it knows', () => {
  const begin = `START_REPLICATION SLOT "shop" LOGICAL 16/B374D848`;
  expect(command(130_020)).toBe(`${begin} (proto_version '1', publication_names '"p"')`);
  expect(command(140_010)).toBe(`${begin} (proto_version '2', publication_names '"p"', streaming 'on', messages 'true')`);
  expect(command(150_010)).toBe(`${begin} (proto_version '3', publication_names '"p"', streaming 'on', messages 'true')`);
  expect(command(180_004, { binary: true, twoPhase: true, origin: 'none', streaming: false, messages: false })).toBe(
    `${begin} (proto_version '4', publication_names '"p"', binary 'true', two_phase 'on', origin 'none')`,
  );
});

test('names of publications mean what they say', () => {
  expect(command(160_000, { publications: [`it's "one", ok`, 'Two'] })).toContain(`publication_names '"it''s ""one"", ok","Two"'`);
});

test.for([
  [130_020, { binary: true }, 'binary'],
  [140_010, { twoPhase: true }, 'two-phase'],
  [150_010, { origin: 'none' }, 'origins'],
  [180_004, { publications: [] }, 'publication'],
] as const)('server %i refuses %j', ([version, options, what]) => {
  expect(() => command(version, options)).toThrow(what);
});

test('a slot has a name that Postgres takes', () => {
  for (const name of ['', 'Shop', 'a-b', 'a"b', 'ü', 'x'.repeat(64)])
    expect(() => startCommand(180_000, name, 0n, { publications: ['p'] })).toThrow('no name for a replication slot');
});
