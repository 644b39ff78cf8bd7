import pc from 'picocolors';

export type Colours = ReturnType<typeof pc.createColors>;

/** Where a command writes: data to stdout, everything that is only for the eye to stderr. */
export interface Terminal {
  /** `--json`: one object, or one a line where the answer is a stream. */
  readonly json: boolean;
  /** Colours for what goes to stdout, and to stderr. */
  readonly out: Colours;
  readonly err: Colours;
  /** True where stderr is a screen on which lines may be redrawn. */
  readonly live: boolean;
  /** Of stdout; 100 where it is no screen. */
  readonly width: number;
  /** Data for people, on stdout. Nothing with `--json`. */
  print(text: string): void;
  /** Data for programs, on stdout. Nothing without `--json`. */
  emit(record: Readonly<Record<string, unknown>>): void;
  /** Progress and remarks, on stderr. Nothing with `--json`. */
  say(text: string): void;
}

/** The version of every JSON object a command prints. It grows when a field changes its meaning or goes. */
export const schemaVersion = 1;

export function openTerminal(json: boolean, streams: { stdout: NodeJS.WriteStream; stderr: NodeJS.WriteStream } = process): Terminal {
  const { stdout, stderr } = streams;
  return {
    json,
    out: pc.createColors(coloured(stdout)),
    err: pc.createColors(coloured(stderr)),
    live: stderr.isTTY === true && !process.env['CI'] && process.env['TERM'] !== 'dumb',
    get width() {
      return stdout.isTTY ? stdout.columns : 100;
    },
    print(text) {
      if (!json) stdout.write(`${text}\n`);
    },
    emit(record) {
      if (json) stdout.write(`${toJson({ schemaVersion, ...record })}\n`);
    },
    say(text) {
      if (!json) stderr.write(`${text}\n`);
    },
  };
}

/** `NO_COLOR` wins, then `FORCE_COLOR`; otherwise colour is for terminals outside CI. */
export function coloured(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean {
  if (env['NO_COLOR']) return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return stream.isTTY === true && !env['CI'] && env['TERM'] !== 'dumb';
}

/** JSON in which a bigint is the string of its digits, since JSON readers round large numbers. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? item.toString() : item));
}

/** A reader that has seen enough (`| head`) closes the pipe: that ends the writing, and is no error. */
export function forgiveClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
}
