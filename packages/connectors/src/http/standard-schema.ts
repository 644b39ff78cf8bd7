import { MillraceError } from '@millrace/core/runtime';

/** What Zod, Valibot, ArkType and others have in common: https://standardschema.dev */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Validated<Output> | Promise<Validated<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

type Validated<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
      }[];
    };

/** The record as the schema leaves it. @throws TYPE_MISMATCH with what the schema says */
export async function validated(schema: StandardSchema, record: unknown): Promise<Readonly<Record<string, unknown>>> {
  const result = await schema['~standard'].validate(record);
  if (result.issues) {
    const [issue] = result.issues;
    const path = (issue?.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
    const more = result.issues.length > 1 ? ` (and ${result.issues.length - 1} more)` : '';
    throw new MillraceError('TYPE_MISMATCH', {
      message: `The schema refuses it${path === '' ? '' : ` at "${path}"`}: ${issue?.message ?? 'no reason given'}${more}.`,
      remedy: 'Correct the schema, or have the API answer as it says.',
      facts: { ...(path !== '' && { column: path }), vendor: schema['~standard'].vendor },
    });
  }
  if (typeof result.value === 'object' && result.value !== null) return result.value as Readonly<Record<string, unknown>>;
  throw new MillraceError('TYPE_MISMATCH', {
    message: 'The schema has made no object of it.',
    remedy: 'Have the schema answer an object with a property for each column.',
  });
}
