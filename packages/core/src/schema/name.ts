/**
 * The parts of `orders`, `public.orders`, `"we.ird"."t"`. Letters keep their case, quoted or not; quotes are needed only around a part
 * that holds a dot or a quote, which is doubled then. Null where the text is no such name.
 */
export function nameParts(text: string): string[] | null {
  const parts: string[] = [];
  for (let rest = text; ; rest = rest.slice(1)) {
    const quoted = /^"((?:[^"]|"")*)"/.exec(rest);
    const part = quoted ? (quoted[1] ?? '').replaceAll('""', '"') : (/^[^".]*/.exec(rest)?.[0] ?? '');
    if (part.trim() === '' && !quoted) return null;
    parts.push(part);
    rest = rest.slice(quoted ? quoted[0].length : part.length);
    if (rest === '') return parts;
    if (!rest.startsWith('.')) return null;
  }
}
