import { type Context, type Json, MillraceError } from '@millrace/core/runtime';
import type { LambdaService } from './client.ts';

export interface Invocation {
  readonly FunctionName: string;
  readonly InvocationType: 'RequestResponse' | 'Event';
  readonly Qualifier?: string;
  readonly Payload: Json;
}

/** Bytes of JSON that Lambda takes. Of an event it took 256 KB until 2025; where a region still does, Lambda says so itself. */
export const payloadLimits = { RequestResponse: 6 * 1024 * 1024, Event: 1024 * 1024 } as const;

/**
 * One call; the function's answer, or null of an event, which Lambda has only taken. The function finds `id` in its client context, under
 * `custom`, and can keep by it what it has done already.
 *
 * @throws REMOTE_FAILED with the function's own error
 */
export async function invoke(lambda: LambdaService, invocation: Invocation, id: string, context: Context): Promise<Json> {
  const { FunctionName, InvocationType, Qualifier } = invocation;
  const Payload = payloadOf(invocation);
  const sync = InvocationType === 'RequestResponse';
  const answer = await lambda.call(`invoking ${FunctionName}`, context, (sdk, client, options) =>
    client.send(
      new sdk.InvokeCommand({
        FunctionName,
        InvocationType,
        Payload,
        ...(Qualifier !== undefined && { Qualifier }),
        // Lambda hands a client context to functions that somebody waits for only.
        ...(sync && { ClientContext: Buffer.from(JSON.stringify({ custom: { 'millrace-request': id } })).toString('base64') }),
      }),
      options,
    ),
  );
  const text = Buffer.from(answer.Payload ?? []).toString('utf8');
  if (answer.FunctionError !== undefined) throw functionFailure(FunctionName, text);
  return text === '' ? null : parsed(text);
}

/** @throws REMOTE_REFUSED where it is more than Lambda takes */
function payloadOf({ FunctionName, InvocationType, Payload }: Invocation): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(Payload));
  const limit = payloadLimits[InvocationType];
  if (bytes.length <= limit) return bytes;
  throw new MillraceError('REMOTE_REFUSED', {
    message: `Lambda, invoking ${FunctionName}: the payload has ${bytes.length} bytes; ${InvocationType === 'Event' ? 'an event' : 'a call'} may have ${limit}.`,
    remedy: 'Put the data on S3 and hand over its name, or split it into batches.',
    facts: { bytes: bytes.length, limit },
  });
}

function functionFailure(name: string, text: string): MillraceError {
  const said = parsed(text);
  const { errorType, errorMessage } =
    typeof said === 'object' && said !== null ? (said as { readonly errorType?: string; readonly errorMessage?: string }) : {};
  return new MillraceError('REMOTE_FAILED', {
    message: `Lambda function ${name} failed: ${errorType ?? 'Error'}: ${(errorMessage ?? text).slice(0, 1_000)}`,
    remedy: `Look at its log group, /aws/lambda/${name.split(':').at(-1)}, and run the step again.`,
    facts: { function: name, errorType: errorType ?? null },
  });
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
