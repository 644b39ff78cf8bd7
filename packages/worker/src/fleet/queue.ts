import { MillraceError } from '@millrace/core/runtime';

/** The queue of a fleet's runs: everything of one name works together, on one state database. @throws CONFIG_INVALID */
export function fleetQueue(fleet: string): string {
  if (/^[a-z0-9][a-z0-9_-]{0,62}$/.test(fleet)) return `fleet:${fleet}`;
  throw new MillraceError('CONFIG_INVALID', {
    message: `The fleet's name ${JSON.stringify(fleet)} is not usable.`,
    remedy: 'Use 1 to 63 lower-case letters, digits, "-" and "_", beginning with a letter or a digit.',
  });
}

export const defaultFleet = 'default';
