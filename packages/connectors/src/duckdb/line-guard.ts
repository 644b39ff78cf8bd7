/**
 * DuckDB reads CSV in parallel by starting at arbitrary bytes and looking for the next line end. A quoted value that holds
 * line breaks, and between them text that looks like rows, leads it astray. So line breaks within quotes do not reach it:
 *
 *   line feed        → SUB n
 *   carriage return  → SUB r
 *   SUB (0x1A)       → SUB z
 *
 * After that every line feed ends a row. `unguarded` turns text columns back, in SQL.
 */
export function lineGuard(): (chunk: Buffer) => Buffer {
  let quoted = false;
  return (chunk) => {
    const anySub = chunk.indexOf(sub) >= 0;
    if (!quoted && !anySub && chunk.indexOf(quote) < 0) return chunk;
    const pieces: Buffer[] = [];
    let from = 0;
    let at = 0;
    while (at < chunk.length) {
      if (!quoted && !anySub) {
        // Most bytes stand outside of quotes, where the search for the next quote is a hundred times faster than this loop.
        const next = chunk.indexOf(quote, at);
        if (next < 0) break;
        at = next + 1;
        quoted = true;
        continue;
      }
      const byte = chunk[at]!;
      if (byte === quote) quoted = !quoted;
      else if (byte <= sub && (byte === sub || (quoted && (byte === lineFeed || byte === carriageReturn)))) {
        pieces.push(chunk.subarray(from, at), guarded(byte));
        from = at + 1;
      }
      at++;
    }
    if (from === 0) return chunk;
    pieces.push(chunk.subarray(from));
    return Buffer.concat(pieces);
  };
}

/** What stands for a line break or a SUB. */
export const guarded = (byte: number): Buffer => (byte === lineFeed ? guardedLineFeed : byte === sub ? guardedSub : guardedReturn);

/** The text column `x` as it was before the guard. */
export function unguarded(x: string): string {
  const back = [
    ['n', 10],
    ['r', 13],
    ['z', 26],
  ].reduce((text, [code, byte]) => `replace(${text}, concat(chr(26), '${code}'), chr(${byte}))`, x);
  return `CASE WHEN contains(${x}, chr(26)) THEN ${back} ELSE ${x} END`;
}

const quote = 0x22;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const sub = 0x1a;
const guardedLineFeed = Buffer.from('\u001an');
const guardedReturn = Buffer.from('\u001ar');
const guardedSub = Buffer.from('\u001az');
