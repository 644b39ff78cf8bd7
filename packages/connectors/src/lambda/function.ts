import type { Json, RemoteDescription, RemoteHandle, RemoteTask } from '@millrace/core/runtime';
import { consoleLink } from '../aws/console.ts';
import { doneAtOnce } from '../aws/done.ts';
import type { LambdaFacts } from '../aws/facts.ts';
import { type Batching, invokeBatches } from './batches.ts';
import type { LambdaService } from './client.ts';
import { type Invocation, invoke } from './invoke.ts';

/** Of a function's answer, what is kept with the run: the result of work, not its data. */
const keptBytes = 4_096;

/** A function, called once; or once for each batch of `Payload`, which is a list of items then. A lost answer cannot be found again: Lambda has no tokens. */
export function lambdaFunction(
  lambda: LambdaService,
  name: string,
  invocation: Invocation['InvocationType'],
  batching: Batching | null,
): RemoteTask {
  const facts: LambdaFacts = { native: batching === null, invocation, batch: batching?.size ?? null };
  const description: RemoteDescription = {
    service: 'lambda',
    action: 'Invoke',
    label: `${invocation === 'Event' ? 'event for ' : ''}Lambda function ${name}`,
    region: lambda.region,
    starts: 'at-least-once',
    watched: false,
    pollMs: 1_000,
    facts: { ...facts },
  };
  return doneAtOnce(description, async ({ id, parameters }, context): Promise<Omit<RemoteHandle, 'id'>> => {
    const call = parameters as unknown as Invocation;
    const done = batching
      ? await invokeBatches(lambda, call, call.Payload as readonly Json[], batching, id, context)
      : kept(await invoke(lambda, call, id, context));
    const region = await lambda.regionInUse(context);
    const link = consoleLink(region, `lambda/home?region=${region}#/functions/${name.split(':').at(-1)}?tab=monitoring`);
    return { link, detail: { ...done } };
  });
}

function kept(answer: Json): Readonly<Record<string, Json>> {
  const bytes = Buffer.byteLength(JSON.stringify(answer));
  return bytes <= keptBytes ? { answer } : { answerBytes: bytes };
}
