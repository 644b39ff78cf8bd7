/** What a caller asks for by HTTP. */
export interface TriggerRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly logicalTime: string | null;
  readonly window: { readonly start: string; readonly end: string } | null;
  readonly fullRefresh: boolean;
  readonly idempotencyKey: string | null;
}

const names = {
  401: 'UNAUTHORIZED',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  409: 'CONFLICT',
  413: 'TOO_LARGE',
  422: 'UNPROCESSABLE',
} as const;

/** The answer to a request that makes no run. */
export class TriggerRefused extends Error {
  readonly status: keyof typeof names;
  readonly remedy: string;

  constructor(status: keyof typeof names, message: string, remedy: string) {
    super(message);
    this.status = status;
    this.remedy = remedy;
  }

  get code(): string {
    return names[this.status];
  }
}

const fields = ['params', 'logicalTime', 'window', 'fullRefresh', 'idempotencyKey'];

/** @throws TriggerRefused (422) */
export function parseTrigger(body: string, header: string | readonly string[] | undefined): TriggerRequest {
  const given = body.trim() === '' ? {} : parsed(body);
  if (!isObject(given)) throw refused('The body is no JSON object.', 'Send {} or {"params": {"country": "de"}}.');
  const unknown = Object.keys(given).find((field) => !fields.includes(field));
  if (unknown !== undefined) throw refused(`There is no field "${unknown}".`, `There are ${fields.join(', ')}.`);
  const { params = {}, logicalTime, window, fullRefresh = false, idempotencyKey = header } = given;
  if (!isObject(params) || !Object.values(params).every((value) => typeof value === 'string'))
    throw refused('"params" is no object of strings.', 'Write {"params": {"country": "de"}}.');
  if (typeof fullRefresh !== 'boolean') throw refused('"fullRefresh" is neither true nor false.', 'Leave it out, or write true.');
  if (idempotencyKey !== undefined && !(typeof idempotencyKey === 'string' && /^[\x20-\x7e]{1,200}$/.test(idempotencyKey)))
    throw refused('The idempotency key is no text of 1 to 200 ASCII characters.', 'Use the id of what the run is for.');
  return {
    params: params as Record<string, string>,
    logicalTime: logicalTime === undefined ? null : timeOf(logicalTime, 'logicalTime'),
    window: window === undefined || window === null ? null : windowOf(window),
    fullRefresh,
    idempotencyKey: idempotencyKey ?? null,
  };
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw refused(`The body is no JSON: ${(error as Error).message}.`, 'Send {} or {"params": {"country": "de"}}.');
  }
}

function windowOf(window: unknown): { start: string; end: string } {
  if (!isObject(window)) throw refused('"window" is no object.', 'Write {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"}.');
  const [start, end] = [timeOf(window['start'], 'window.start'), timeOf(window['end'], 'window.end')];
  if (start >= end) throw refused('"window" ends before it begins.', 'The start comes first; the end is not part of it.');
  return { start, end };
}

function timeOf(value: unknown, field: string): string {
  if (
    typeof value === 'string' &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(value) &&
    !Number.isNaN(Date.parse(value))
  )
    return new Date(value).toISOString();
  throw refused(`"${field}" is no time.`, 'Write it as ISO 8601 with its offset: 2026-03-29T02:00:00Z.');
}

const refused = (message: string, remedy: string): TriggerRefused => new TriggerRefused(422, message, remedy);
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
