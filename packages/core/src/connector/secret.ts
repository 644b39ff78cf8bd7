/** A name under which the environment finds a value at run time. Plans and logs carry the name only. */
export interface SecretRef {
  readonly kind: 'secret';
  readonly name: string;
}

/**
 * `secret('SHOP_URL')`: looked up in `.env`, the process environment, AWS Secrets Manager or Parameter Store, as the environment says.
 * `secret('shop#url')` is one value of a JSON object; an ARN names a secret or a parameter wherever the environment looks.
 */
export function secret(name: string): SecretRef {
  return Object.freeze({ kind: 'secret', name });
}

/** A connection's setting: written in the file where it is no secret (`file:./lake`), else named. */
export type Setting = string | SecretRef;

/** A setting as a plan shows it: literals with any password taken out, secrets by name. */
export function describeSetting(setting: Setting): string {
  return typeof setting === 'string' ? withoutPassword(setting) : `secret(${setting.name})`;
}

/** Takes user name and password out of a URL, the password out of a `key=value` connection string or a JSON object. */
export function withoutPassword(text: string): string {
  return text
    .replace(/(\w+:\/\/)[^@/\s]*@/g, '$1')
    .replace(/(password|pwd|secret)=[^&;\s]*/gi, '$1=***')
    .replace(/("(?:password|pwd|secret)"\s*:\s*")(?:[^"\\]|\\.)*/gi, '$1***');
}
