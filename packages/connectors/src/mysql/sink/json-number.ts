/** A number that may not be a double: many digits, or an exponent of three. */
const suspicious = /[\d.]{16}|[eE][+-]?\d{3}/;
const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;
const least = -(2n ** 63n);
const greatest = 2n ** 64n - 1n;

/**
 * The first number of a JSON text that MySQL's `json` would change: it keeps integers of 64 bits and doubles.
 * Source: https://dev.mysql.com/doc/refman/8.4/en/json.html
 */
export function inexactNumber(json: string): string | null {
  if (!suspicious.test(json)) return null;
  for (const [token] of json.matchAll(tokens)) if (token[0] !== '"' && !isKept(token)) return token;
  return null;
}

function isKept(number: string): boolean {
  if (/^-?\d+$/.test(number)) {
    const value = BigInt(number);
    if (value >= least && value <= greatest) return true;
  }
  return scientific(number) === scientific(String(Number(number)));
}

/** Sign, digits without zeros at either end, and the place of the point: equal for equal numbers. */
function scientific(number: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [];
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  return `${sign}${significant}e${BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length)}`;
}
