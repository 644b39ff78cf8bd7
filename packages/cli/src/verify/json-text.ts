/**
 * One text for each jsonb value: no blanks, properties sorted, the last of several with one name, numbers without exponents and
 * trailing zeros. Numbers keep all their digits, which `JSON.parse` would not.
 */
export function canonicalJsonText(text: string): string {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs) ?? [];
  let at = 0;
  const value = (): string => {
    const token = tokens[at++] ?? '';
    if (token === '{') return object();
    if (token === '[') return array();
    if (token.startsWith('"')) return JSON.stringify(JSON.parse(token));
    return /^[-\d]/.test(token) ? plainNumber(token) : token;
  };
  const object = (): string => {
    const fields = new Map<string, string>();
    while (tokens[at] !== '}' && at < tokens.length) {
      const name = JSON.stringify(JSON.parse(tokens[at++] as string));
      at++; // the colon
      fields.set(name, value());
      if (tokens[at] === ',') at++;
    }
    at++;
    return `{${[...fields]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, item]) => `${name}:${item}`)
      .join(',')}}`;
  };
  const array = (): string => {
    const items: string[] = [];
    while (tokens[at] !== ']' && at < tokens.length) {
      items.push(value());
      if (tokens[at] === ',') at++;
    }
    at++;
    return `[${items.join(',')}]`;
  };
  return value();
}

/** `1.50e1` and `15.0` are `15`. */
function plainNumber(text: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!match) return text;
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  // Beyond what Postgres itself keeps: leave it as it stands.
  if (Math.abs(Number(exponent)) > 150_000) return text;
  const before = (point <= 0 ? '0' : digits.slice(0, point).padEnd(point, '0')).replace(/^0+(?=\d)/, '');
  const after = (point < 0 ? '0'.repeat(-point) + digits : digits.slice(Math.min(point, digits.length))).replace(/0+$/, '');
  const number = after === '' ? before : `${before}.${after}`;
  return /[1-9]/.test(number) ? `${sign}${number}` : '0';
}
