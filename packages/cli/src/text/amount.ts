/** `1,234,567`: the digits of a count, grouped. */
export function count(value: number | bigint): string {
  return value.toString().replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 row`, `2,000 rows` */
export function counted(value: number | bigint, noun: string): string {
  return `${count(value)} ${noun}${Number(value) === 1 ? '' : 's'}`;
}

/** `512 B`, `1.4 MB`: powers of 1,000 with two or three digits that matter. */
export function bytes(value: number): string {
  return scaled(value, ['B', 'kB', 'MB', 'GB', 'TB', 'PB'], 1000);
}

/** `84.2 k/s`: rows in a second. */
export function rate(rows: number, ms: number): string {
  if (ms <= 0 || rows <= 0) return '';
  return `${scaled((rows * 1000) / ms, ['', 'k', 'M', 'G'], 1000).trim()}/s`;
}

function scaled(value: number, units: readonly string[], step: number): string {
  let rest = value;
  let unit = 0;
  while (rest >= step && unit < units.length - 1) {
    rest /= step;
    unit++;
  }
  const digits = unit === 0 || rest >= 100 ? Math.round(rest).toString() : rest.toFixed(rest >= 10 ? 1 : 2);
  return `${digits} ${units[unit]}`;
}

/** `0.4 s`, `12.3 s`, `3 min 05 s`, `2 h 07 min` */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad2(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${pad2(minutes % 60)} min`;
}

/** `12 ms`, and from a second on as a duration. */
export function span(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : duration(ms);
}

/** `2026-03-29 02:00:05`: local to nobody, so UTC. */
export function moment(at: string | Date): string {
  return new Date(at).toISOString().slice(0, 19).replace('T', ' ');
}

const pad2 = (value: number): string => value.toString().padStart(2, '0');

/** `RUNNING 40 %`: what a service says of its work. */
export const saidText = (status: string, progress: number | null): string =>
  progress === null ? status : `${status} ${Math.round(progress * 100)} %`;
