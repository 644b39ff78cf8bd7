import { compile, type Json } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { compileStateMachines } from '../../packages/step-functions/src/index.ts';
import { complaints } from '../../packages/step-functions/test/complaints.ts';
import { type Asked, failure, interpret, stageOf } from '../../packages/step-functions/test/interpreter.ts';
import dailyReport from './daily-report.ts';
import config from './millrace.config.ts';

const settings = config.environments['prod']?.stepFunctions;
if (!settings) throw new Error('the example has lost its environment');
const plan = compile(dailyReport);
const machines = compileStateMachines(plan, settings);

/** What a run asks of ECS and of services, in order. */
async function run(
  answer: (asked: Asked) => Json | undefined = () => ({}),
  input: Json = {},
): Promise<{ error: string | null; asked: Asked[] }> {
  const asked: Asked[] = [];
  const { error } = await interpret(
    machines,
    (one) => {
      asked.push(one);
      return answer(one);
    },
    input,
  );
  return { error, asked };
}

const whatOf = (one: Asked): string => (one.call === 'ecs:runTask.sync' ? stageOf(one) : one.call);

test('both validators take the machine, and nobody but Step Functions waits for Glue', async () => {
  expect(await complaints(machines)).toEqual([]);
  expect([...machines.native.keys()]).toEqual(['report', 'told']);
});

test('the loads run side by side, then the job of the day, then the notice', async () => {
  const { error, asked } = await run(undefined, { time: '2026-03-29T02:00:00Z', date: '2026-03-29' });
  expect(error).toBe(null);
  expect(asked.map(whatOf).slice(0, 2).sort()).toEqual(['customerFiles', 'orderFiles']);
  expect(asked.map(whatOf).slice(2)).toEqual(['glue:startJobRun.sync', 'sns:publish']);
  expect(asked[2]?.parameters).toEqual({ JobName: 'daily-report', Arguments: { '--date': '2026-03-29' } });
});

test('a job that finds no room is started again; a notice that nobody can send makes the run a partial one', async () => {
  let jobs = 0;
  const { error } = await run(({ call }) => {
    if (call.startsWith('glue') && ++jobs < 3) throw failure('Glue.ConcurrentRunsExceededException');
    if (call.startsWith('sns')) throw failure('SNS.NotFoundException');
    return {};
  });
  expect({ error, jobs }).toEqual({ error: 'PARTIAL', jobs: 3 });
});
