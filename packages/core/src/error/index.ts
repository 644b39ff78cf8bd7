export { type AwsCall, awsFailure, awsStatus, isAwsError } from './aws-failure.ts';
export { codes, type ErrorCode, type ErrorEntry, type RetryKind } from './codes.ts';
export { type ErrorText, isMillraceError, MillraceError, restoreError, type StoredError, storeError } from './millrace-error.ts';
