import { MillraceError } from '@millrace/core';
import { cdc } from './cdc.ts';
import { copy } from './copy.ts';
import { fleet } from './fleet.ts';
import { jdbc } from './jdbc.ts';
import { mysql } from './mysql.ts';
import { type Figure, printResult, type Result } from './report.ts';

/** A file for each case; `npm run bench -- copy --json --rows 10000000 --rounds 3`. */
const cases: Readonly<Record<string, Case>> = {
  /** Opening, fencing and committing take under a tenth of a second, whatever the rows: at a million of them that is a few per cent. */
  copy: { measure: copy, rows: 4_000_000, rounds: 3 },
  cdc: { measure: cdc, rows: 1_000_000, rounds: 5 },
  mysql: { measure: mysql, rows: 2_000_000, rounds: 3 },
  jdbc: { measure: jdbc, rows: 2_000_000, rounds: 3 },
  /** No rows at all: its stages do nothing. */
  fleet: { measure: fleet, rows: 1, rounds: 5 },
};

interface Case {
  readonly measure: (options: Options) => AsyncIterable<Result | Figure>;
  /** Unless told. */
  readonly rows: number;
  readonly rounds: number;
}

export interface Options {
  readonly rows: number;
  /** Counted rounds, after one that is not counted. */
  readonly rounds: number;
  /** Lanes or other parts of a case; all where it is empty. */
  readonly only: readonly string[];
}

const flags = new Map<string, string>();
const names: string[] = [];
const words = process.argv.slice(2);
for (let word = words.shift(); word !== undefined; word = words.shift()) {
  if (word === '--json') flags.set(word, 'true');
  else if (word.startsWith('--')) flags.set(word, words.shift() ?? '');
  else names.push(word);
}

for (const name of names.length > 0 ? names : Object.keys(cases)) {
  const asked = cases[name];
  if (!asked) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `There is no bench "${name}".`,
      remedy: `Name some of: ${Object.keys(cases).join(', ')}.`,
    });
  }
  const options: Options = {
    rows: positive('--rows', asked.rows),
    rounds: positive('--rounds', asked.rounds),
    only: (flags.get('--only') ?? '').split(',').filter(Boolean),
  };
  for await (const result of asked.measure(options)) printResult(result, flags.has('--json'));
}

function positive(flag: string, fallback: number): number {
  const number = Number(flags.get(flag) ?? fallback);
  if (Number.isInteger(number) && number > 0) return number;
  throw new MillraceError('CONFIG_INVALID', {
    message: `${flag} takes a whole number above 0.`,
    remedy: `For example ${flag} ${fallback}.`,
  });
}
