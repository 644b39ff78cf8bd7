/** Who has had a run made, by its idempotency key; null for a person, and for a key of somebody's own. */
export function madeBy(idempotencyKey: string | null): string | null {
  const [kind = '', rest = ''] = /^([a-z]+):(.*)$/s.exec(idempotencyKey ?? '')?.slice(1) ?? [];
  switch (kind) {
    case 'schedule':
      return 'by its schedule';
    case 'backfill':
      return `by backfill ${rest.slice(0, rest.indexOf(':'))}`;
    case 'success':
      return `after run ${rest}`;
    case 'file':
      return rest.includes('@') ? `by the file ${rest.slice(0, rest.lastIndexOf('@'))}` : 'by a file';
    case 'notify':
      return 'by a notification';
    case 'http':
      return 'by an HTTP request';
    case 'request':
      return 'by "millrace schedule trigger"';
    default:
      return null;
  }
}
