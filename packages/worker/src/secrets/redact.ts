import { plainJson, type StoredError, withoutPassword } from '@millrace/core/runtime';

/** Takes secrets out of what is about to be stored or shown. */
export interface Redactor {
  /** From now on this value is not shown. */
  hide(value: string): void;
  /** Secrets become `***`; URLs lose user and password whoever wrote them. */
  redact(text: string): string;
  /** The same within plain data, property by property. */
  redactAll<T>(value: T): T;
}

/** Shorter ones would tear words apart and protect nothing. */
const shortest = 4;

export function redactor(): Redactor {
  const hidden = new Set<string>();
  let longestFirst: string[] = [];
  const redact = (text: string): string => {
    let clean = text;
    for (const value of longestFirst) if (clean.includes(value)) clean = clean.replaceAll(value, '***');
    return withoutPassword(clean);
  };
  const redactAll = (value: unknown): unknown => {
    if (typeof value === 'string') return redact(value);
    if (Array.isArray(value)) return value.map(redactAll);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, redactAll(item)]));
  };
  return {
    hide(value) {
      for (const form of formsOf(value)) if (form.length >= shortest) hidden.add(form);
      longestFirst = [...hidden].sort((a, b) => b.length - a.length);
    },
    redact,
    redactAll: <T>(value: T) => redactAll(value) as T,
  };
}

/** The value as it may turn up: as it is, escaped for JSON and for URLs; of a URL also its password, of a JSON object what is in it. */
function formsOf(value: string): string[] {
  const object = objectIn(value);
  if (object) {
    return [value, ...inside(object).flatMap(formsOf)];
  }
  const url = URL.canParse(value) ? new URL(value) : undefined;
  // Where a lake is says nothing that must be hidden, and hiding it would make every message about it useless.
  const plain = url !== undefined && (url.protocol === 'file:' || url.protocol === 's3:') && url.password === '';
  const parts = [...(plain ? [] : [value]), ...(url?.password ? [url.password, decode(url.password)] : [])];
  return parts.flatMap((part) => [part, JSON.stringify(part).slice(1, -1), encodeURIComponent(part)]);
}

/** All texts in it, however deep. */
function inside(item: unknown): string[] {
  if (typeof item === 'string') return [item];
  if (typeof item !== 'object' || item === null) return [];
  return Object.entries(item).flatMap(([name, one]) => (openly.has(name) && typeof one === 'string' ? [] : inside(one)));
}

/** What a secret of RDS says beside the password: hiding it would make every message about the database useless. */
const openly: ReadonlySet<string> = new Set([
  'engine',
  'host',
  'dbname',
  'username',
  'dbInstanceIdentifier',
  'dbClusterIdentifier',
  'masterarn',
]);

function objectIn(value: string): object | undefined {
  if (!value.startsWith('{')) return undefined;
  try {
    return JSON.parse(value) as object;
  } catch {
    return undefined;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** An error as it may be stored: without secrets, facts as plain JSON, and with what lay behind it. */
export function redactError(error: StoredError, by: Redactor): StoredError {
  const { code, message, remedy, facts } = error;
  return { code, message: by.redact(message), remedy: by.redact(remedy), facts: by.redactAll(plainJson(facts) as StoredError['facts']) };
}
