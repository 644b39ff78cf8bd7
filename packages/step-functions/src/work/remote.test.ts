import { expect, test } from 'vitest';
import { interpret } from '../../test/interpreter.ts';
import { planOf, remoteStep, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';

const topic = 'arn:aws:sns:eu-west-1:123456789012:done';
const retry = { attempts: 3, delayMs: 1000, maxDelayMs: 60_000 };

test('a notice to a FIFO topic that is published again is the same one, and another of another run or stage', async () => {
  const parameters = { TopicArn: `${topic}.fifo`, Message: 'done', MessageGroupId: 'millrace' };
  const facts = { native: true, fifo: true };
  const steps = ["it's done", 'told'].map((name) => remoteStep(name, { service: 'sns', action: 'Publish', facts, parameters }));
  const machines = compileStateMachines(
    planOf(
      steps.map(({ name }) => ({ id: name, retry })),
      { steps },
    ),
    settings,
  );
  const ids: string[] = [];
  let refusals = 0;
  for (const run of ['run-1', 'run-2']) {
    const { error } = await interpret(
      machines,
      ({ call, parameters: asked }) => {
        expect(call).toBe('sns:publish');
        ids.push(String(asked['MessageDeduplicationId']));
        if (refusals++ === 0) throw Object.assign(new Error('no'), { name: 'SNS.ThrottledException' });
        return {};
      },
      {},
      run,
    );
    expect(error).toBeNull();
  }
  expect(ids).toHaveLength(5);
  expect(new Set(ids).size).toBe(4);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{64}$/);
});

test('one to another topic has no such id', async () => {
  const facts = { native: true, fifo: false };
  const steps = [remoteStep('told', { service: 'sns', action: 'Publish', facts, parameters: { TopicArn: topic, Message: 'done' } })];
  await interpret(compileStateMachines(planOf([{ id: 'told' }], { steps }), settings), ({ parameters: asked }) => {
    expect(asked).toEqual({ TopicArn: topic, Message: 'done' });
    return {};
  });
});
