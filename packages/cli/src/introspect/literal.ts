/** A string as TypeScript source, in single quotes. */
export function stringLiteral(text: string): string {
  const escaped = JSON.stringify(text)
    .slice(1, -1)
    .replace(/\\"/g, '"')
    .replace(/'/g, "\\'")
    .replace(/[\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16)}`);
  return `'${escaped}'`;
}

/** A property name as it stands before the colon. `__proto__` would set the prototype unless it is computed. */
export function propertyName(name: string): string {
  if (name === '__proto__') return "['__proto__']";
  return isIdentifier(name) ? name : stringLiteral(name);
}

export const isIdentifier = (name: string): boolean => /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u.test(name);

/** Words that cannot name a constant of a module. */
export const reservedWords: ReadonlySet<string> = new Set(
  (
    'arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for function if ' +
    'implements import in instanceof interface let new null package private protected public return static super switch this throw true try typeof ' +
    'undefined NaN Infinity var void while with yield'
  ).split(' '),
);
