/** Decimal text rounded to `scale` places, half away from zero, as numeric rounds. A negative scale rounds before the point. */
export function roundDecimal(text: string, scale: number): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) return text;
  const [, sign = '', whole = '0', fraction = ''] = match;
  if (fraction.length <= scale) return text;
  // All digits as one integer in units of the last kept place, and the first digit that goes.
  const digits = whole + fraction;
  const kept = Math.max(whole.length + scale, 0);
  const up = (digits.charCodeAt(kept) || 48) >= 53 && whole.length + scale >= 0;
  const units = BigInt(digits.slice(0, kept) || '0') + (up ? 1n : 0n);
  if (scale <= 0) return `${units === 0n ? '' : sign}${units}${units === 0n ? '' : '0'.repeat(-scale)}`;
  const padded = String(units).padStart(scale + 1, '0');
  return `${units === 0n ? '' : sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
}
