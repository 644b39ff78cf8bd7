import { MillraceError } from '@millrace/core/runtime';

/** A file that a plan or a manifest names is another one now. */
export function changed(url: string, gone: boolean): MillraceError {
  return new MillraceError('MANIFEST_MISMATCH', {
    message: `${url} ${gone ? 'is gone' : 'has changed'} since it was listed.`,
    remedy: 'Let nothing write over files that are being read: give new content a new name. Start a new run to read what is there now.',
    facts: { file: url, gone },
  });
}
