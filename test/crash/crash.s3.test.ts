import { afterAll, beforeAll, expect, test } from 'vitest';
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
  const { url, endpoint, region, credentials, [Symbol.asyncDispose]: dispose } = await testBucket();
  return { url, endpoint, region, credentials, [Symbol.asyncDispose]: dispose };
};

test.for(fileWays.slice(0, 1).map((way) => [way.name, way] as const))(
  'on S3 too a crash costs time only: %s',
  { timeout: 300_000 },
  async ([, way]) => {
    const { points, differences } = await disturb(way, { program: program.file, makeLake: lakeOnS3 });
    expect(points).toEqual(expect.arrayContaining([...s3Failpoints]));
    expect(differences).toEqual({});
  },
);
