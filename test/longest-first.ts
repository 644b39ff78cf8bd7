import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take long, the longest first: begun last, each would run alone at the end. Those that start many processes do not all begin
 * at once.
 */
const long = [
  'test/crash/crash.pg.test.ts',
  'test/chaos/chaos.pg.test.ts',
  'packages/cli/test/stream.pg.test.ts',
  'test/chaos/fleet/fleet-chaos.redis.test.ts',
  'packages/cli/src/embedded/embedded.pg.test.ts',
  'packages/cli/test/help.pg.test.ts',
  'packages/connectors/src/redshift/mirror/conformance.pg.test.ts',
  'packages/cli/test/fleet-faults.redis.test.ts',
  'packages/worker/src/local/local-executor.pg.test.ts',
  'test/crash/crash.s3.test.ts',
  'packages/cli/test/executors.pg.test.ts',
  'packages/worker/src/worker/crash.pg.test.ts',
  'packages/connectors/test/follow-crash.pg.test.ts',
  'packages/connectors/src/dms/settings.test.ts',
  'packages/cli/test/run.pg.test.ts',
  'packages/connectors/src/postgres/apply/crash.pg.test.ts',
  'test/cdc/differential.pg.test.ts',
  'packages/cli/test/schedule.pg.test.ts',
  'packages/worker/src/scheduler/backfilling.pg.test.ts',
  'packages/worker/src/scheduler/ticking.pg.test.ts',
  'packages/connectors/src/postgres/apply/conformance.pg.test.ts',
];

/** The order of Vitest knows how long files took only where they have run before. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const usual = await super.sort(files);
    const place = ({ moduleId }: TestSpecification): number => {
      const at = long.findIndex((file) => moduleId.endsWith(`/${file}`));
      return at < 0 ? long.length : at;
    };
    return usual.toSorted((one, other) => place(one) - place(other));
  }
}
