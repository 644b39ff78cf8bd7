import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fleetLines } from '../packages/worker/src/observe/metrics/cloudwatch.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
test('the template goes by metrics that a fleet writes', () => {
  const template = read('deploy/ecs.yaml');
  const [line = ''] = fleetLines({ queues: [], runs: {}, streams: [], alertsOpen: 0 }, 'fleet:default', new Date());
  const { _aws, ...written } = JSON.parse(line);
  const [{ Namespace, Dimensions, Metrics }] = _aws.CloudWatchMetrics;
  const named = [...template.matchAll(/MetricName: (\w+)/g)].map(([, name]) => name);
  expect(named.sort()).toEqual(['BacklogPerWorker', 'OldestReadyAge', 'ReadyStages', 'Workers']);
  for (const name of named) expect(Metrics.map((metric: { Name: string }) => metric.Name)).toContain(name);
  expect(new Set([...template.matchAll(/Namespace: ([\w/]+)/g)].map(([, name]) => name))).toEqual(new Set([Namespace, 'ecs']));
  const dimensions = [...template.matchAll(/Dimensions: \[\{ Name: (\w+), Value: !Sub "(fleet):/g)].map(
    ([, name, queue]) => `${name}=${queue}`,
  );
  expect(dimensions).toHaveLength(named.length);
  expect(new Set(dimensions)).toEqual(new Set([`${Dimensions[0][0]}=${written.Queue.split(':')[0]}`]));
});

test('image, containers and tasks agree on what is started and what is asked', () => {
  for (const file of ['Dockerfile', 'deploy/ecs.yaml', 'compose.yaml']) expect(read(file)).toMatch(/--http"?, "9464"/);
  expect(read('deploy/image/health.mjs')).toContain('127.0.0.1:9464/health');
  for (const place of ['/app/project/.millrace', '/tmp', '/app/health.mjs']) {
    expect(read('Dockerfile')).toContain(place);
    expect(read('deploy/ecs.yaml')).toContain(place);
  }
});
