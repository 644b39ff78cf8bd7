import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { s3Failpoints } from '../../packages/connectors/src/s3/failpoints.ts';
import { bundled } from '../bundle.ts';
import { testBucket } from '../s3.ts';
import { disturb } from './disturb.ts';
import type { Stage } from './scene.ts';
import { fileWays } from './ways.ts';

let program: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  program = await bundled(new URL('./attempt.ts', import.meta.url));
});
afterAll(() => program?.[Symbol.asyncDispose]());

const lakeOnS3: Stage['makeLake'] = async () => {
  const { url, bucket, endpoint, region, credentials, [Symbol.asyncDispose]: dispose } = await testBucket();
  const kept = `${bucket}-kept`;
  return {
    ...{ url, endpoint, region, credentials },
    async keep() {
      await ask('PUT', kept);
      await copyAll(bucket, kept);
      return async () => {
        for (const key of await keys(bucket)) await ask('DELETE', `${bucket}/${key}`);
        await copyAll(kept, bucket);
      };
    },
    [Symbol.asyncDispose]: dispose,
  };
};

/** Copies keep their ETags, so nobody can tell them from what was there. */
async function copyAll(from: string, to: string): Promise<void> {
  for (const key of await keys(from)) await ask('PUT', `${to}/${key}`, { 'x-amz-copy-source': `/${from}/${key}` });
}

/** As they stand in a URL. */
async function keys(bucket: string): Promise<string[]> {
  const listed = await ask('GET', `${bucket}?list-type=2&encoding-type=url`);
  return [...listed.matchAll(/<Key>(.*?)<\/Key>/g)].map(([, key = '']) => key);
}

async function ask(method: string, path: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await fetch(`${inject('s3')}/${path}`, { method, headers: { authorization: 'AWS test:test', ...headers } });
  const said = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${said}`);
  return said;
}

test.for(fileWays.slice(0, 1).map((way) => [way.name, way] as const))(
  'on S3 too a crash costs time only: %s',
  { timeout: 300_000 },
  async ([, way]) => {
    const { points, differences } = await disturb(way, { program: program.file, makeLake: lakeOnS3 });
    expect(points).toEqual(expect.arrayContaining([...s3Failpoints]));
    expect(differences).toEqual({});
  },
);
