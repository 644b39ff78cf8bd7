/** What Secrets Manager keeps for a user of a database; of users that RDS itself manages only these two. */
export interface UserSecret {
  readonly username?: string;
  readonly password: string;
}

/** `{"username", "password"}`, or the bare password. */
export function userOfSecret(text: string): UserSecret {
  const { username, password } = objectIn(text);
  return typeof password === 'string' ? { ...(typeof username === 'string' && { username }), password } : { password: text };
}

/**
 * The URL that a database's secret stands for: `{"host", "port", "dbname", "username", "password"}`. Null for what is no such object.
 * https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
 */
export function urlOfSecret(text: string): string | null {
  const { host, port, dbname, username, password } = objectIn(text);
  if (typeof host !== 'string' || typeof password !== 'string') return null;
  const encoded = (part: unknown): string => (part === undefined || part === null ? '' : encodeURIComponent(String(part)));
  return `postgres://${encoded(username)}:${encoded(password)}@${host}${port ? `:${encoded(port)}` : ''}/${encoded(dbname)}`;
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  if (!text.trimStart().startsWith('{')) return {};
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
