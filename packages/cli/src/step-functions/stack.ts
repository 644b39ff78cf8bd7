import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { awsFailure, isAwsError, MillraceError, type StepFunctionsSettings } from '@millrace/core/runtime';
import { largestText, type Template } from '@millrace/step-functions';

/** A stack of CloudFormation, as it is deployed and as it may become. */
export interface Stack {
  readonly name: string;
  /** The template that is deployed; null where the stack is not there. */
  deployed(): Promise<Template | null>;
  /** Makes the stack what the template says, and waits until it is. @throws REMOTE_FAILED where CloudFormation rolled back */
  apply(template: Template, told: (line: string) => void): Promise<void>;
}

/** By `@aws-sdk/client-cloudformation`, which is loaded here and nowhere else. */
export async function openStack(
  name: string,
  { region, bucket }: Pick<StepFunctionsSettings, 'region' | 'bucket'>,
  signal: AbortSignal,
  everyMs = 3_000,
): Promise<Stack> {
  const aws = await load();
  const client = new aws.CloudFormationClient({ region });
  const send = <T>(answer: Promise<T>): Promise<T> => answer.catch((error) => Promise.reject(failure(error, name)));
  const options = { abortSignal: signal };

  const describe = async () => {
    try {
      const { Stacks = [] } = await client.send(new aws.DescribeStacksCommand({ StackName: name }), options);
      return Stacks[0] ?? null;
    } catch (error) {
      if (isMissing(error)) return null;
      throw failure(error, name);
    }
  };
  /** A stack whose first change set has not been executed yet counts as none. @throws where it is in a state in which nothing can be changed */
  const isThere = async (): Promise<boolean> => {
    const status = (await describe())?.StackStatus ?? 'REVIEW_IN_PROGRESS';
    if (status === 'REVIEW_IN_PROGRESS') return false;
    if (status.endsWith('_IN_PROGRESS')) throw busy(name, status);
    const refusal = stuckAs(name, status);
    if (refusal) throw refusal;
    return true;
  };
  const ended = async (): Promise<string> => {
    for (;;) {
      const status = (await describe())?.StackStatus ?? 'DELETE_COMPLETE';
      if (!status.endsWith('_IN_PROGRESS')) return status;
      await sleep(everyMs, undefined, { signal });
    }
  };

  return {
    name,
    async deployed() {
      if (!(await isThere())) return null;
      const { TemplateBody = '{}' } = await send(
        client.send(new aws.GetTemplateCommand({ StackName: name, TemplateStage: 'Original' }), options),
      );
      return JSON.parse(TemplateBody) as Template;
    },
    async apply(template, told) {
      const ChangeSetName = `millrace-${Date.now()}`;
      const body = JSON.stringify(template);
      const large = Buffer.byteLength(body) > largestText;
      if (large && bucket === undefined) throw tooLarge(name);
      const create = new aws.CreateChangeSetCommand({
        StackName: name,
        ChangeSetName,
        ChangeSetType: (await isThere()) ? 'UPDATE' : 'CREATE',
        ...(large ? { TemplateURL: await upload(body, name, region, bucket as string, signal) } : { TemplateBody: body }),
        Capabilities: ['CAPABILITY_IAM'],
      });
      await send(client.send(create, options));
      for (;;) {
        const set = await send(client.send(new aws.DescribeChangeSetCommand({ StackName: name, ChangeSetName }), options));
        if (set.Status === 'FAILED') {
          if (/didn't contain changes|no updates/i.test(set.StatusReason ?? '')) return;
          throw refused(name, set.StatusReason ?? 'it does not say why');
        }
        if (set.Status === 'CREATE_COMPLETE') {
          for (const { ResourceChange: change } of set.Changes ?? [])
            told(
              `${change?.Action} ${change?.LogicalResourceId} (${change?.ResourceType})${change?.Replacement === 'True' ? ', made anew' : ''}`,
            );
          break;
        }
        await sleep(everyMs, undefined, { signal });
      }
      await send(client.send(new aws.ExecuteChangeSetCommand({ StackName: name, ChangeSetName }), options));
      const status = await ended();
      if (status !== 'CREATE_COMPLETE' && status !== 'UPDATE_COMPLETE') throw rolledBack(name, status);
    },
  };
}

/** Puts the template where CloudFormation can read it; answers its address. */
async function upload(body: string, stack: string, region: string, bucket: string, signal: AbortSignal): Promise<string> {
  const aws = await import('@aws-sdk/client-s3').catch((cause) => Promise.reject(missing('S3', '@aws-sdk/client-s3', cause)));
  const client = new aws.S3Client({ region, forcePathStyle: true });
  // What somebody else deploys at the same time is another one.
  const Key = `millrace/${stack}-${createHash('sha256').update(body).digest('hex').slice(0, 16)}.template.json`;
  try {
    await client.send(new aws.PutObjectCommand({ Bucket: bucket, Key, Body: body, ContentType: 'application/json' }), {
      abortSignal: signal,
    });
  } catch (error) {
    throw failure(error, stack);
  } finally {
    client.destroy();
  }
  return `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}/${bucket}/${Key}`;
}

async function load() {
  try {
    return await import('@aws-sdk/client-cloudformation');
  } catch (cause) {
    throw missing('CloudFormation', '@aws-sdk/client-cloudformation', cause);
  }
}

const missing = (service: string, name: string, cause: unknown): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `"millrace deploy" needs the AWS SDK for ${service}, which is not installed.`,
    remedy: `Install it: npm install ${name}. Or deploy what "millrace compile" writes with a tool of your own.`,
    cause,
  });

const isMissing = (error: unknown): boolean =>
  isAwsError(error, 'ValidationError') && error instanceof Error && /does not exist/.test(error.message);

const failure = (error: unknown, stack: string): unknown =>
  awsFailure(error, {
    service: 'CloudFormation',
    doing: `stack ${stack}`,
    grant: 'cloudformation:* on the stack, and what the template makes',
    refused: { code: 'REMOTE_REFUSED', remedy: 'The message is what CloudFormation says.' },
  });

const refused = (stack: string, reason: string): MillraceError =>
  new MillraceError('REMOTE_REFUSED', {
    message: `CloudFormation will not change stack ${stack}: ${reason}`,
    remedy: 'The message is what CloudFormation says.',
    facts: { stack },
  });

const busy = (stack: string, status: string): MillraceError =>
  new MillraceError('REMOTE_UNAVAILABLE', {
    message: `Stack ${stack} is ${status}: somebody changes it at this moment.`,
    remedy: 'Try again when that is done.',
    facts: { stack, status },
  });

/** A deployment that came to a bad end. */
const rolledBack = (stack: string, status: string): MillraceError =>
  stuckAs(stack, status, 'REMOTE_FAILED') ??
  new MillraceError('REMOTE_FAILED', {
    message: `Stack ${stack} ended as ${status}${status === 'UPDATE_ROLLBACK_COMPLETE' ? ': what it was is there again' : ''}.`,
    remedy: `See why: ${events(stack)}.`,
    facts: { stack, status },
  });

/** A stack that takes no change before a person has done something; null for all others. */
function stuckAs(stack: string, status: string, code: 'REMOTE_FAILED' | 'REMOTE_REFUSED' = 'REMOTE_REFUSED'): MillraceError | null {
  const { [status]: end } = stuck;
  if (!end) return null;
  return new MillraceError(code, {
    message: `Stack ${stack} is ${status}: ${end.means}.`,
    remedy: `See why: ${events(stack)}. Then ${end.remedy(stack)}, and deploy again.`,
    facts: { stack, status },
  });
}

const events = (stack: string): string => `aws cloudformation describe-stack-events --stack-name ${stack}`;
const remove = (stack: string): string => `delete it: aws cloudformation delete-stack --stack-name ${stack}`;

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html */
const stuck: Readonly<Record<string, { readonly means: string; readonly remedy: (stack: string) => string }>> = {
  ROLLBACK_COMPLETE: { means: 'it could not be made, and nothing of it is there', remedy: remove },
  CREATE_FAILED: { means: 'it could not be made, and what was made of it is still there', remedy: remove },
  ROLLBACK_FAILED: { means: 'it could not be made, and what was made of it could not be taken away', remedy: remove },
  DELETE_FAILED: {
    means: 'somebody has deleted it, and something of it could not be taken away',
    remedy: (stack) => `${remove(stack)} --retain-resources <those that stay>`,
  },
  UPDATE_ROLLBACK_FAILED: {
    means: 'a change of it has failed, and could not be taken back',
    remedy: (stack) => `let it go on: aws cloudformation continue-update-rollback --stack-name ${stack}`,
  },
};

const tooLarge = (stack: string): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `The template of ${stack} is larger than the ${largestText} bytes that CloudFormation takes as text.`,
    remedy: 'Name a bucket that it may be put into, "bucket" in stepFunctions of millrace.config.ts.',
    facts: { stack },
  });
