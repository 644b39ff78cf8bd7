import type { SSMClient } from '@aws-sdk/client-ssm';
import { awsRefusal, clientSettings, missingPackage } from './aws-refusal.ts';
import { batched } from './batch.ts';
import type { SecretSource } from './local-source.ts';
import { type ServiceOptions, serviceSource } from './service-source.ts';

/** As many as GetParameters takes. */
const mostAtOnce = 10;

const service = 'Parameter Store';
const grant = 'ssm:GetParameters on the parameter, and kms:Decrypt where it is encrypted with a key of your own';

/** SSM Parameter Store, SecureString or not. The package is loaded, and credentials are looked for, when the first is asked for. */
export function parameterStore(options: ServiceOptions): SecretSource {
  let opened: ReturnType<typeof open> | undefined;

  async function get(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    opened ??= open(options.region);
    const { sdk, ssm } = await opened;
    const { Parameters = [] } = await ssm.send(new sdk.GetParametersCommand({ Names: [...names], WithDecryption: true }));
    const found = new Map<string, string>();
    for (const { Name, ARN, Value = '' } of Parameters) for (const id of [Name, ARN]) if (id !== undefined) found.set(id, Value);
    return found;
  }

  async function one(name: string): Promise<string | undefined> {
    try {
      return (await get([name])).get(name);
    } catch (error) {
      throw awsRefusal(error, { service, doing: `reading the parameter "${name}"`, grant });
    }
  }

  async function many(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    try {
      return await get(names);
    } catch (error) {
      // One name that may not be read has all of them refused.
      if ((error as Error).name === 'AccessDeniedException') return new Map();
      throw awsRefusal(error, { service, doing: `reading ${names.length} parameters`, grant });
    }
  }

  return serviceSource(
    {
      name: 'AWS Parameter Store',
      advice: (id) => `create the parameter "${id.split('#', 1)[0]}" in AWS Parameter Store, as a SecureString`,
      fetch: batched(mostAtOnce, many, one),
    },
    options,
  );
}

async function open(region: string | undefined): Promise<{ sdk: typeof import('@aws-sdk/client-ssm'); ssm: SSMClient }> {
  const sdk = await import('@aws-sdk/client-ssm').catch((cause) => {
    throw missingPackage(service, '@aws-sdk/client-ssm', cause);
  });
  return { sdk, ssm: new sdk.SSMClient(clientSettings(region)) };
}
