/*
 * Dates and times as one signed number of 64 bits: 40 bits as in DATETIME and TIME, 24 of microseconds. Within JSON.
 * Source: mysys/my_time.cc, TIME_from_longlong_datetime_packed.
 */

const two = (value: number): string => String(value).padStart(2, '0');

function parts(packed: bigint): { readonly isNegative: boolean; readonly whole: number; readonly microseconds: string } {
  const isNegative = packed < 0n;
  const size = isNegative ? -packed : packed;
  return { isNegative, whole: Number(size >> 24n), microseconds: String(size & 0xff_ffffn).padStart(6, '0') };
}

const clock = (time: number): string => `${two((time >> 6) & 63)}:${two(time & 63)}`;

/** `2024-02-29 23:59:59.000000`, or the date alone. */
export function datetimeText(packed: bigint, isDate: boolean): string {
  const { whole, microseconds } = parts(packed);
  const days = Math.floor(whole / 2 ** 17);
  const time = whole % 2 ** 17;
  const yearMonth = days >> 5;
  const date = `${String(Math.floor(yearMonth / 13)).padStart(4, '0')}-${two(yearMonth % 13)}-${two(days & 31)}`;
  return isDate ? date : `${date} ${two(time >> 12)}:${clock(time)}.${microseconds}`;
}

/** `-838:59:59.000000` */
export function timeText(packed: bigint): string {
  const { isNegative, whole, microseconds } = parts(packed);
  return `${isNegative ? '-' : ''}${two((whole >> 12) & 1023)}:${clock(whole)}.${microseconds}`;
}
