import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { type Environment, MillraceError, type SecretRef } from '@millrace/core/runtime';
import { type Redactor, redactor } from './redact.ts';

/** Looks secrets up, and knows from then on what must not be shown. */
export interface Secrets extends Redactor {
  /** @throws SECRET_MISSING */
  get(ref: SecretRef): Promise<string>;
}

export interface SecretsOptions {
  /** Where `.env` is. */
  readonly directory: string;
  /** Looked at in this order; `['.env', 'env']` by default. */
  readonly sources?: NonNullable<Environment['secrets']>;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** One place where secrets are. */
interface SecretSource {
  /** For messages. */
  readonly name: string;
  find(secret: string): Promise<string | undefined>;
}

/** Secrets as an environment of `millrace.config.ts` names them. */
export function environmentSecrets({ directory, sources = ['.env', 'env'], env = process.env }: SecretsOptions): Secrets {
  const places = sources.map((source) => sourceOf(source, directory, env));
  const known = new Map<string, string>();
  const redaction = redactor();
  return {
    ...redaction,
    async get({ name }) {
      const before = known.get(name);
      if (before !== undefined) return before;
      for (const place of places) {
        const value = await place.find(name);
        if (value === undefined || value === '') continue;
        known.set(name, value);
        redaction.hide(value);
        return value;
      }
      throw new MillraceError('SECRET_MISSING', {
        message: `The secret "${name}" is not in ${places.map((place) => place.name).join(', and not in ')}.`,
        remedy: `Write ${name}=… into ${join(directory, '.env')}, or set it in the environment.`,
        facts: { secret: name },
      });
    },
  };
}

function sourceOf(source: string, directory: string, env: SecretsOptions['env']): SecretSource {
  if (source === 'env') return { name: 'the process environment', find: async (secret) => env?.[secret] };
  if (source === '.env') return fileSource(join(directory, '.env'));
  throw new MillraceError('UNSUPPORTED', {
    message: `Secrets cannot be read from "${source}".`,
    remedy: 'Use ".env" and "env" in the "secrets" of the environment.',
    facts: { source },
  });
}

function fileSource(path: string): SecretSource {
  let values: Promise<NodeJS.Dict<string>> | undefined;
  return {
    name: path,
    async find(secret) {
      values ??= readFile(path, 'utf8').then(parseEnv, (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return {};
        throw new MillraceError('SECRET_MISSING', {
          message: `${path} cannot be read: ${error.code ?? error.message}.`,
          remedy: 'Give this user the right to read it.',
          cause: error,
        });
      });
      return (await values)[secret];
    },
  };
}
