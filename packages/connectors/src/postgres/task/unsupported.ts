import { MillraceError } from '@millrace/core/runtime';

export const onlyOnPostgres = (message: string, remedy: string): MillraceError =>
  new MillraceError('UNSUPPORTED', { message: `${message}.`, remedy });
