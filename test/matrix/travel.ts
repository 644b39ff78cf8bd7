import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isMillraceError, type MillraceError } from '@millrace/core/runtime';
import { expect } from 'vitest';
import type { TestDatabase } from '../postgres.ts';
import type { Way } from './table-ways.ts';
import { type MatrixType, matrix } from './values.ts';
import { differences, shown, type WideTables, wideTables } from './wide-table.ts';

const neighbour = matrix.find(({ name }) => name === 'composite') as MatrixType;

/** Sends the values of all types at once, except those that the way refuses: they must arrive to the letter. */
export async function arrives(way: Way, types: readonly MatrixType[], database: TestDatabase): Promise<void> {
  const tables = await wideTables(database, types, ({ name, values }) => values.filter((value) => !(value in (way.refuses[name] ?? {}))));
  await running(way, database, tables);
  await database.sql('delete from matrix_target where n < 0');
  expect(await differences(database, tables)).toEqual([]);
}

/** Sends each value that the way refuses alone: the load must end with its code, name the column, say what to do, and leave nothing. */
export async function isRefused(way: Way, types: readonly MatrixType[], database: TestDatabase): Promise<void> {
  const found: Record<string, Record<string, string>> = {};
  for (const type of types) {
    for (const value of Object.keys(way.refuses[type.name] ?? {})) {
      // With a neighbour that has no portable bytes, as in the table of all types.
      const tables = await wideTables(database, [type, neighbour], ({ name }) => (name === type.name ? [value] : []));
      const error = await running(way, database, tables).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      const what = `${type.name} ${shown(value)}`;
      if (error !== null && !isMillraceError(error)) throw error;
      found[type.name] = { ...found[type.name], [value]: error?.code ?? 'arrived' };
      if (error) expect(badly(error, type), what).toBe('');
      if (error) expect(await database.sql('select n from matrix_target'), what).toEqual([]);
    }
  }
  expect(found).toEqual(Object.fromEntries(types.filter(({ name }) => way.refuses[name]).map(({ name }) => [name, way.refuses[name]])));
}

/** With a directory of its own. */
export async function running(way: Way, database: TestDatabase, tables: WideTables): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'millrace-matrix-'));
  try {
    await way.run(database, tables, directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What is wrong with how the refusal is told. */
function badly(error: MillraceError, { name }: MatrixType): string {
  if (error.remedy.length < 10) return `no remedy: ${error.message}`;
  return error.message.includes(`"${name}"`) ? '' : `the column is not named: ${error.message}`;
}
