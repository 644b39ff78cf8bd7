import { engineFailpoints } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresFailpoints } from '../../packages/connectors/src/postgres/sink/failpoints.ts';
import { redshiftFailpoints } from '../../packages/connectors/src/redshift/failpoints.ts';
import { s3Failpoints } from '../../packages/connectors/src/s3/failpoints.ts';
import { bundled } from '../bundle.ts';
import { disturb } from './disturb.ts';
import { ways } from './ways.ts';

let program: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  program = await bundled(new URL('./attempt.ts', import.meta.url));
});
afterAll(() => program?.[Symbol.asyncDispose]());

const passed = new Set<string>();

describe('killed twice, or woken after its successor, a run ends as if nothing had happened', () => {
  test.for(ways.map((way) => [way.name, way] as const))('%s', { timeout: 300_000 }, async ([, way]) => {
    const { points, differences } = await disturb(way, { program: program.file });
    for (const point of points) passed.add(point);
    expect(differences).toEqual({});
  });

  test('there is no failpoint that none of these runs comes past', () => {
    // Streams and fleets have their own: see cli/test/stream.pg.test.ts and cli/test/help.pg.test.ts.
    const batch = engineFailpoints.filter((point) => !/^engine\.(stream|remote)\./.test(point) && point !== 'engine.splits.offered');
    const known = [...batch, ...postgresFailpoints, ...redshiftFailpoints, ...s3Failpoints];
    expect(known.filter((point) => !passed.has(point))).toEqual([]);
  });
});
