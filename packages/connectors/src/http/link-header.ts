/**
 * The target of a relation in a Link header: RFC 8288, 3. A comma may stand within a URL and within quotes. Each character is looked at once, whatever stands there.
 */
export function linkTo(header: string | undefined, relation: string): string | null {
  const text = header ?? '';
  for (let open = text.indexOf('<'); open >= 0; ) {
    const close = text.indexOf('>', open);
    if (close < 0) return null;
    const { rel, end } = parametersAt(text, close + 1);
    if (rel?.toLowerCase().split(/\s+/).includes(relation)) return text.slice(open + 1, close);
    open = text.indexOf('<', end);
  }
  return null;
}

/** Up to the comma before the next link. Of two relations the first counts. */
function parametersAt(text: string, from: number): { readonly rel: string | null; readonly end: number } {
  let rel: string | null = null;
  let at = from;
  while (at < text.length && text[at] !== ',') {
    const name = wordAt(text, at, '=;,');
    at = name.end;
    if (text[at] !== '=') {
      if (text[at] === ';') at++;
      continue;
    }
    const value = valueAt(text, at + 1);
    at = value.end;
    if (name.word.toLowerCase() === 'rel') rel ??= value.word;
  }
  return { rel, end: at };
}

interface Word {
  readonly word: string;
  readonly end: number;
}

function valueAt(text: string, from: number): Word {
  let at = from;
  while (text[at] === ' ' || text[at] === '\t') at++;
  if (text[at] !== '"') return wordAt(text, at, ';,');
  let word = '';
  for (at++; at < text.length && text[at] !== '"'; at++) {
    if (text[at] === '\\') at++;
    word += text[at] ?? '';
  }
  return { word, end: at + 1 };
}

function wordAt(text: string, from: number, ends: string): Word {
  let at = from;
  while (at < text.length && !ends.includes(text[at]!)) at++;
  return { word: text.slice(from, at).trim(), end: at };
}
