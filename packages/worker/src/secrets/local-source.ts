import { readFile } from 'node:fs/promises';
import { parseEnv } from 'node:util';
import { MillraceError } from '@millrace/core/runtime';

/** One place where secrets are. */
export interface SecretSource {
  /** For messages. */
  readonly name: string;
  /** How a secret gets there, as a clause: `create …`. */
  advice(secret: string): string;
  /** `refused` is what was found before and is not accepted any more: it is looked up anew. */
  find(secret: string, refused?: string): Promise<string | undefined>;
}

export function processSource(env: Readonly<Record<string, string | undefined>>, file: string): SecretSource {
  return {
    name: 'the process environment',
    advice: (secret) => inFile(secret, file),
    find: async (secret) => env[secret],
  };
}

export function dotenvSource(file: string): SecretSource {
  let values: Promise<NodeJS.Dict<string>> | undefined;
  return {
    name: file,
    advice: (secret) => inFile(secret, file),
    async find(secret, refused) {
      if (refused !== undefined) values = undefined;
      values ??= readFile(file, 'utf8').then(parseEnv, (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return {};
        throw new MillraceError('SECRET_MISSING', {
          message: `${file} cannot be read: ${error.code ?? error.message}.`,
          remedy: 'Give this user the right to read it.',
          cause: error,
        });
      });
      return (await values)[secret];
    },
  };
}

const inFile = (secret: string, file: string): string => `write ${secret}=… into ${file}, or set it in the environment`;
