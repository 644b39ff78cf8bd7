import type { Schedule, StepFunctionsSettings } from '@millrace/core/runtime';
import { compileStateMachines } from '../src/compile.ts';
import { type Template, templateOf } from '../src/template/template.ts';
import { everything } from './everything.ts';
import { planOf, settings } from './plans.ts';

const role = (name: string): string => `arn:aws:iam::123456789012:role/${name}`;
const topic = 'arn:aws:sns:eu-west-1:123456789012:oncall';
const cron: Schedule = { kind: 'cron', expression: '0 2 * * 1-5 | 30 12 * * *', timeZone: 'Europe/Paris' };
const full: StepFunctionsSettings = {
  ...settings,
  spot: true,
  xray: true,
  log: 'all',
  environment: 'prod',
  secret: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:etl-AbCdEf',
  secrets: ['STATE_URL', 'SHOP_URL'],
  policies: ['arn:aws:iam::123456789012:policy/etl-lake'],
  splits: { split: 4, many: 100 },
  alarms: {
    topic,
    rds: [{ instance: 'shop', connections: 400 }],
    aurora: [{ cluster: 'mart', connections: 900 }],
    dms: [{ instance: 'replicator', task: 'ABCDEF' }],
  },
};

function template(schedule: Schedule, how: StepFunctionsSettings): Template {
  const plan = { ...everything, schedule };
  return templateOf(plan, compileStateMachines(plan, how), how);
}

const small = planOf([{ id: 'orders' }, { id: 'facts', needs: ['orders'] }], { name: 'small' });

/** Templates with everything that one can have, by what is peculiar to them. */
export const templates: Readonly<Record<string, Template>> = {
  'tasks, on a schedule': template(cron, full),
  'tokens, on objects of S3': template({ kind: 'files', pattern: 's3://landing/orders/*.csv' }, { ...full, work: 'token' }),
  'activity, after another pipeline': template({ kind: 'success', of: 'upstream' }, { ...full, work: 'activity' }),
  'a function, by hand': template(
    { kind: 'manual' },
    { ...settings, work: { lambda: 'arn:aws:lambda:eu-west-1:123456789012:function:etl' } },
  ),
  'with roles that are there': template(cron, {
    ...settings,
    log: 'off',
    roles: { machine: role('machine'), task: role('task'), execution: role('execution'), scheduler: role('scheduler') },
  }),
  'two stages': templateOf(small, compileStateMachines(small, settings), settings),
};
