import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadPipeline } from './load.ts';

/** Inside the repository, so that imports of `@millrace/core` resolve. */
function write(text: string): string {
  const base = fileURLToPath(new URL('../../.millrace/', import.meta.url));
  mkdirSync(base, { recursive: true });
  const file = join(mkdtempSync(join(base, 'load-')), 'pipeline.ts');
  writeFileSync(file, text);
  return file;
}

const steps = `
import { extract, pipeline, table, int4 } from '@millrace/core';
const selection = { kind: 'selection', description: { connector: 'x', object: 'public.t', connection: 'x' }, schema: table('t', { id: int4() }), offers: [], absorbs: () => false, open: () => Promise.reject() };
const rows = extract(selection as never);
const forgotten = extract(selection as never);
`;

describe('loading a pipeline file', () => {
  it('gives its default export and names steps that it does not list', async () => {
    const loaded = await loadPipeline(write(`${steps}\nexport default pipeline({ name: 'nightly', steps: { rows } });`));
    expect(loaded.pipeline).toMatchObject({ kind: 'pipeline', name: 'nightly' });
    expect(loaded.unlisted).toEqual(['extract of public.t']);
  });

  it('says where the file is that is not there', async () => {
    await expect(loadPipeline('nowhere/pipeline.ts')).rejects.toMatchObject({ code: 'PIPELINE_NOT_FOUND' });
  });

  it('wants a pipeline as the default export', async () => {
    await expect(loadPipeline(write('export default 5;'))).rejects.toMatchObject({ code: 'PIPELINE_INVALID' });
  });

  it('says what the file threw', async () => {
    await expect(loadPipeline(write('throw new TypeError("no such thing");'))).rejects.toMatchObject({
      code: 'PIPELINE_INVALID',
      message: expect.stringContaining('no such thing'),
    });
  });
});
