import { describe, expect, test } from 'vitest';
import { awsFailure } from './aws-failure.ts';

const call = { service: 'Glue', doing: 'starting job nightly', grant: 'glue:StartJobRun on the job' };

describe('an error of the SDK', () => {
  test.each([
    [{ name: 'CredentialsProviderError', message: 'Could not load credentials from any providers' }, 'AUTHENTICATION_FAILED'],
    [{ name: 'Error', message: 'Region is missing' }, 'CONFIG_INVALID'],
    [{ name: 'Error', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:1' }, 'CONNECTION_FAILED'],
    [{ name: 'TimeoutError', message: 'no answer' }, 'CONNECTION_FAILED'],
    [{ name: 'SyntaxError', message: 'Unexpected token <', $metadata: { httpStatusCode: 200 } }, 'REMOTE_UNAVAILABLE'],
    [{ name: 'ExpiredTokenException', message: 'old', $metadata: { httpStatusCode: 400 } }, 'AUTHENTICATION_FAILED'],
    [{ name: 'SignatureDoesNotMatch', message: 'no', $metadata: { httpStatusCode: 403 } }, 'AUTHENTICATION_FAILED'],
    [{ name: 'DecryptionFailure', message: 'no', $metadata: { httpStatusCode: 400 } }, 'ACCESS_DENIED'],
    [{ name: 'ExecutionLimitExceeded', message: 'no', $metadata: { httpStatusCode: 400 } }, 'REMOTE_THROTTLED'],
    [{ name: 'KMSThrottlingFault', message: 'no', $metadata: { httpStatusCode: 400 } }, 'REMOTE_THROTTLED'],
    [{ name: 'Whatever', message: 'no', $metadata: { httpStatusCode: 403 } }, 'ACCESS_DENIED'],
    [{ name: 'Whatever', message: 'no', $metadata: { httpStatusCode: 429 } }, 'REMOTE_THROTTLED'],
    [{ name: 'Whatever', message: 'no', $metadata: { httpStatusCode: 500 } }, 'REMOTE_UNAVAILABLE'],
    [{ name: 'Whatever', message: 'no', $metadata: { httpStatusCode: 400 } }, 'REMOTE_REFUSED'],
  ])('%j', (error, code) => {
    expect(awsFailure(Object.assign(new Error(error.message), error), call)).toMatchObject({ code });
  });

  test('says what was done and what to grant', () => {
    expect(awsFailure({ name: 'AccessDeniedException', message: 'User: x is not authorized' }, call)).toMatchObject({
      message: 'Glue, starting job nightly: access was denied. User: x is not authorized',
      remedy: 'Grant glue:StartJobRun on the job.',
    });
  });
});

test('a refusal means what the caller says', () => {
  const refused = { code: 'SECRET_MISSING', remedy: 'Check its name.' } as const;
  const error = { name: 'InvalidRequestException', message: 'marked for deletion', $metadata: { httpStatusCode: 400 } };
  expect(awsFailure(error, { ...call, refused })).toMatchObject({ code: 'SECRET_MISSING', remedy: 'Check its name.' });
});

test('an error that is no answer of a service stays what it is', () => {
  const error = new TypeError('x is not a function');
  expect(awsFailure(error, call)).toBe(error);
});
