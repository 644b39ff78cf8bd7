import { MillraceError } from '@millrace/core/runtime';

/** For bytes that cannot be what they are said to be. */
export const corrupt = (what: string, facts: Readonly<Record<string, unknown>> = {}): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `The binary log has ${what}.`,
    remedy:
      'Nothing to do the first time: it is read again. If it stays, the log is damaged: copy the tables again with "millrace resync".',
    facts,
  });

/** For what is in the log as it should be and cannot be followed: whoever went on would lose changes. */
export const unfollowable = (message: string, remedy: string, facts: Readonly<Record<string, unknown>> = {}): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message,
    remedy: `${remedy} Then run "millrace resync" to copy the tables again. Nothing was skipped.`,
    facts,
  });
