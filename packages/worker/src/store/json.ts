/** JSON that Postgres takes: its text knows neither NUL nor half a surrogate pair. */
export function json(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === 'string') return storable(item);
    return typeof item === 'bigint' ? item.toString() : item;
  });
}

export function storable(text: string): string {
  const whole = text.replace(/\p{Surrogate}/gu, '\ufffd');
  return whole.includes('\0') ? whole.replaceAll('\0', '\u2400') : whole;
}
