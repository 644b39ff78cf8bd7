import { secret } from '@millrace/core';
import { expect, it } from 'vitest';
import { alertsProblem } from './alerts-config.ts';

it.each([
  undefined,
  {},
  { oncall: { slack: secret('SLACK_URL') } },
  {
    audit: { webhook: 'https://x.example', on: ['failed', 'late'], pipelines: ['nightly'] },
    topic: { sns: 'arn:aws:sns:eu-west-1:1:etl' },
  },
])('takes the alerts %j', (alerts) => {
  expect(alertsProblem(alerts)).toBeUndefined();
});

it.each([
  [[], '"alerts" is not an object of targets by name.'],
  [{ a: 'https://x/geheim' }, '"alerts.a" is not an object.'],
  [{ a: { email: 'x' } }, '"alerts.a" has the unknown field "email"; there are webhook, slack, sns, on, pipelines.'],
  [{ a: { on: ['failed'] } }, '"alerts.a" names nobody: one of webhook, slack, sns.'],
  [{ a: { slack: 'geheim', webhook: 'geheim' } }, '"alerts.a" names webhook and slack: one of webhook, slack, sns.'],
  [{ a: { slack: 7 } }, `"alerts.a" has a "slack" that is neither text nor secret('…').`],
  [{ a: { slack: 'geheim', on: ['broken'] } }, '"alerts.a" has an "on" that is no list of failed, late, recovered.'],
  [{ a: { slack: 'geheim', pipelines: 'p' } }, '"alerts.a" has "pipelines" that are no list of names.'],
])('refuses the alerts %j', (alerts, problem) => {
  expect(alertsProblem(alerts)).toBe(problem);
});
