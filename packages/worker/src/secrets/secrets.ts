import { join } from 'node:path';
import { MillraceError, type SecretPlace, type SecretRef } from '@millrace/core/runtime';
import { dotenvSource, processSource, type SecretSource } from './local-source.ts';
import { parameterStore } from './parameter-store.ts';
import { type Redactor, redactor } from './redact.ts';
import { secretsManager } from './secrets-manager.ts';

/** Looks secrets up, and knows from then on what must not be shown. */
export interface Secrets extends Redactor {
  /** See `Context.secret`. @throws SECRET_MISSING, and what the service that keeps it says */
  get(ref: SecretRef, refused?: string): Promise<string>;
}

export interface SecretsOptions {
  /** Where `.env` is. */
  readonly directory: string;
  /** Looked at in this order; `['.env', 'env']` by default. */
  readonly sources?: readonly SecretPlace[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since 1970: what a service has told is asked for again after a while. */
  readonly now?: () => number;
}

/** Secrets as an environment of `millrace.config.ts` names them. */
export function environmentSecrets({ directory, sources = ['.env', 'env'], env = process.env, now = Date.now }: SecretsOptions): Secrets {
  const places = sources.map((place) => sourceOf(place, directory, env, now));
  const byArn = new Map<string, SecretSource>();
  const redaction = redactor();

  function placesOf(name: string): readonly SecretSource[] {
    const [, service, region = ''] = arnForm.exec(name) ?? [];
    if (service === undefined) return places;
    const key = `${service} ${region}`;
    const source = byArn.get(key) ?? (service === 'ssm' ? parameterStore : secretsManager)({ prefix: '', region, now });
    byArn.set(key, source);
    return [source];
  }

  return {
    ...redaction,
    async get({ name }, refused) {
      const asked = placesOf(name);
      for (const place of asked) {
        const value = await place.find(name, refused);
        if (value === undefined || value === '') continue;
        redaction.hide(value);
        return value;
      }
      throw new MillraceError('SECRET_MISSING', {
        message: `The secret "${name}" is not in ${asked.map((place) => place.name).join(', and not in ')}.`,
        remedy: sentence([...new Set(asked.map((place) => place.advice(name)))].join(', or ')),
        facts: { secret: name },
      });
    },
  };
}

/** An ARN says itself where the secret is. */
const arnForm = /^arn:[\w-]+:(secretsmanager|ssm):([\w-]+):\d*:/;

function sourceOf(place: SecretPlace, directory: string, env: NonNullable<SecretsOptions['env']>, now: () => number): SecretSource {
  const file = join(directory, '.env');
  if (place === 'env') return processSource(env, file);
  if (place === '.env') return dotenvSource(file);
  const { region } = place;
  if ('secretsManager' in place) return secretsManager({ prefix: place.secretsManager, region, now });
  return parameterStore({ prefix: place.parameterStore, region, now });
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
