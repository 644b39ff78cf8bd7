export { codes, type ErrorCode, type ErrorEntry, type RetryKind } from './codes.ts';
export { isMillraceError, MillraceError, restoreError, type ErrorText, type StoredError, storeError } from './millrace-error.ts';
