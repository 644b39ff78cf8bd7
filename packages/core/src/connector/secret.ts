/** A name under which the environment finds a value at run time. Plans and logs carry the name only. */
export interface SecretRef {
  readonly kind: 'secret';
  readonly name: string;
}

/** `secret('SHOP_URL')`: looked up in `.env`, the process environment or AWS Secrets Manager, as the environment says. */
export function secret(name: string): SecretRef {
  return Object.freeze({ kind: 'secret', name });
}

/** A connection's setting: written in the file where it is no secret (`file:./lake`), else named. */
export type Setting = string | SecretRef;

/** A setting as a plan shows it: literals with any password taken out, secrets by name. */
export function describeSetting(setting: Setting): string {
  return typeof setting === 'string' ? withoutPassword(setting) : `secret(${setting.name})`;
}

/** Takes user name and password out of a URL or a `key=value` connection string. */
export function withoutPassword(text: string): string {
  return text.replace(/(\w+:\/\/)[^@/\s]*@/g, '$1').replace(/(password|pwd|secret)=[^&;\s]*/gi, '$1=***');
}
