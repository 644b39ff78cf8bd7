import type { GetSecretValueResponse, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { awsRefusal, clientSettings, missingPackage } from './aws-refusal.ts';
import { batched } from './batch.ts';
import type { SecretSource } from './local-source.ts';
import { type ServiceOptions, serviceSource } from './service-source.ts';

/** As many as BatchGetSecretValue takes. */
const mostAtOnce = 20;

const service = 'Secrets Manager';
const grant = 'secretsmanager:GetSecretValue on the secret, and kms:Decrypt where it is encrypted with a key of your own';

/** AWS Secrets Manager. The package is loaded, and credentials are looked for, when the first secret is asked for. */
export function secretsManager(options: ServiceOptions): SecretSource {
  let opened: ReturnType<typeof open> | undefined;
  const client = () => (opened ??= open(options.region));
  let mayBatch = true;

  async function one(id: string): Promise<string | undefined> {
    const { sdk, manager } = await client();
    try {
      return textOf(await manager.send(new sdk.GetSecretValueCommand({ SecretId: id })));
    } catch (error) {
      if ((error as Error).name === 'ResourceNotFoundException') return undefined;
      throw awsRefusal(error, { service, doing: `reading the secret "${id}"`, grant });
    }
  }

  async function many(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    if (!mayBatch) return found;
    const { sdk, manager } = await client();
    try {
      const { SecretValues = [] } = await manager.send(new sdk.BatchGetSecretValueCommand({ SecretIdList: [...ids] }));
      for (const value of SecretValues) {
        const text = textOf(value);
        for (const id of [value.Name, value.ARN]) if (id !== undefined && text !== undefined) found.set(id, text);
      }
    } catch (error) {
      // A permission of its own, secretsmanager:BatchGetSecretValue, that a role may do without.
      if ((error as Error).name !== 'AccessDeniedException')
        throw awsRefusal(error, { service, doing: `reading ${ids.length} secrets`, grant });
      mayBatch = false;
    }
    return found;
  }

  return serviceSource(
    {
      name: 'AWS Secrets Manager',
      advice: (id) =>
        `create the secret "${id.split('#', 1)[0]}" in AWS Secrets Manager${id.includes('#') ? ` with ${keyOf(id)} in it` : ''}`,
      fetch: batched(mostAtOnce, many, one),
    },
    options,
  );
}

async function open(
  region: string | undefined,
): Promise<{ sdk: typeof import('@aws-sdk/client-secrets-manager'); manager: SecretsManagerClient }> {
  const sdk = await import('@aws-sdk/client-secrets-manager').catch((cause) => {
    throw missingPackage(service, '@aws-sdk/client-secrets-manager', cause);
  });
  return { sdk, manager: new sdk.SecretsManagerClient(clientSettings(region)) };
}

const textOf = ({ SecretString, SecretBinary }: Pick<GetSecretValueResponse, 'SecretString' | 'SecretBinary'>): string | undefined =>
  SecretString ?? (SecretBinary && Buffer.from(SecretBinary).toString('utf8'));

const keyOf = (id: string): string => `"${id.slice(id.indexOf('#') + 1)}"`;
