/** When runs are made. `timeZone` is an IANA name; UTC where it is left out. */
export type Schedule =
  | { readonly kind: 'manual' }
  | { readonly kind: 'cron'; readonly expression: string; readonly timeZone: string }
  | { readonly kind: 'continuous' }
  | { readonly kind: 'files'; readonly pattern: string }
  | { readonly kind: 'notify'; readonly channel: string }
  | { readonly kind: 'success'; readonly of: string };

/** Only when somebody asks: `millrace run`. */
export const manual: Schedule = Object.freeze({ kind: 'manual' });
/** Without end: for captures. */
export const continuous: Schedule = Object.freeze({ kind: 'continuous' });

/** Five fields, as cron has them: `cron('0 6 * * 1-5', 'Europe/Paris')`. */
export const cron = (expression: string, timeZone = 'UTC'): Schedule => Object.freeze({ kind: 'cron', expression, timeZone });

/** `daily('02:00', 'Europe/Paris')` */
export function daily(at: `${number}:${number}`, timeZone = 'UTC'): Schedule {
  const [hour, minute] = at.split(':').map(Number);
  return cron(`${minute} ${hour} * * *`, timeZone);
}

/** At `minute` past every hour. */
export const hourly = (minute = 0, timeZone = 'UTC'): Schedule => cron(`${minute} * * * *`, timeZone);

/** When files appear that match. */
export const onFiles = (pattern: string): Schedule => Object.freeze({ kind: 'files', pattern });
/** When Postgres sends a NOTIFY on the channel. */
export const onNotify = (channel: string): Schedule => Object.freeze({ kind: 'notify', channel });
/** After each successful run of another pipeline. */
export const onSuccess = (of: { readonly name: string }): Schedule => Object.freeze({ kind: 'success', of: of.name });
