import { isMillraceError } from '@millrace/core/runtime';

/** True where asking again would be answered in the same way: then it is noted, else it is tried at the next look. */
export const isRefusal = (error: unknown): boolean => isMillraceError(error) && error.entry.retry === 'never' && error.entry.exit !== 69;
