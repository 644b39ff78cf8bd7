import type { StageOutput } from '@millrace/core/runtime';
import type { Redactor } from '../secrets/redact.ts';

/**
 * An output as it may be shown: what databases, services and checks have written in it is redacted. The receipt is data that later stages
 * and loads go by (where files are, how far a load has come), and holds no secret: a word in it that is also a password must stay.
 */
export function readable(output: StageOutput, by: Redactor): StageOutput {
  if (output.kind === 'remote') return { ...output, output: by.redactAll(output.output) };
  const checks = by.redactAll(output.checks);
  return output.kind === 'execute' ? { ...output, checks, notices: by.redactAll(output.notices) } : { ...output, checks };
}
