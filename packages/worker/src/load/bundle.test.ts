import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { bundle } from './bundle.ts';
import { remember, withOriginalPlaces } from './places.ts';

const directory = mkdtempSync(join(tmpdir(), 'millrace-bundle-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const file = join(directory, name);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
  return file;
}

async function load(file: string): Promise<Record<string, unknown>> {
  const out = join(directory, `out-${Math.random()}.mjs`);
  const { code, map } = await bundle(file, out);
  writeFileSync(out, code);
  remember(out, map);
  return (await import(pathToFileURL(out).href)) as Record<string, unknown>;
}

describe('TypeScript of a project', () => {
  it('is one module: what it imports by path is in it, packages stay imports', async () => {
    write('tables/shop.ts', 'export enum Colour { Red = "red" }\nexport const here: string = import.meta.url;\n');
    const file = write(
      'pipeline.ts',
      `import { Colour, here } from './tables/shop';\nimport { join } from 'node:path';\nexport default [Colour.Red, here, import.meta.url, join('a', 'b')];\n`,
    );
    const expected = ['red', pathToFileURL(join(directory, 'tables/shop.ts')).href, pathToFileURL(file).href, 'a/b'];
    expect((await load(file))['default']).toEqual(expected);
    const { code } = await bundle(
      write('packages.ts', `import { pipeline } from '@millrace/core';\nexport default pipeline;`),
      join(directory, 'x.mjs'),
    );
    expect(code).toContain('from "@millrace/core"');
  });

  it('that does not parse says where', async () => {
    await expect(bundle(write('broken.ts', 'export const a = 1;\nexport const = 2;\n'), join(directory, 'x.mjs'))).rejects.toThrow(
      /broken\.ts:2:13/,
    );
    await expect(bundle(write('lost.ts', `import './nowhere.ts';\n`), join(directory, 'x.mjs'))).rejects.toThrow(/nowhere\.ts/);
  });

  it('is what a stack trace points to', async () => {
    const file = write('thrower.ts', 'type Unused = {\n  a: string;\n};\nexport default (): never => {\n  throw new Error("here");\n};\n');
    const thrower = (await load(file))['default'] as () => never;
    const stack = (() => {
      try {
        return thrower();
      } catch (error) {
        return (error as Error).stack ?? '';
      }
    })();
    expect(withOriginalPlaces(stack)).toContain(`${pathToFileURL(file).href}:5:9`);
  });
});
