/** Colour and cursor sequences, which take no room. */
const escapes = /\u001b\[[0-9;?]*[A-Za-z]/g;

export function withoutColour(text: string): string {
  return text.replace(escapes, '');
}

/** Columns that a text takes on a screen: combining marks none, East Asian wide characters and emoji two. */
export function displayWidth(text: string): number {
  const plain = withoutColour(text);
  if (/^[\x20-\x7e]*$/.test(plain)) return plain.length;
  let width = 0;
  for (const { segment } of graphemes.segment(plain)) width += clusterWidth(segment);
  return width;
}

/** Cuts a plain text to a width, with an ellipsis where something is left out. */
export function fitTo(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let cut = '';
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    const next = clusterWidth(segment);
    if (used + next > width - 1) break;
    cut += segment;
    used += next;
  }
  return `${cut}…`;
}

/** One line: control characters and line breaks as the escapes a programmer would write. */
export function onOneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (char) => {
    const named = ({ '\n': '\\n', '\r': '\\r', '\t': '\\t' } as Record<string, string>)[char];
    return named ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u;

function clusterWidth(cluster: string): number {
  if (/^[\p{Mn}\p{Cf}\p{Cc}]/u.test(cluster)) return 0;
  return wide.test(cluster) || /\p{Emoji_Presentation}|\ufe0f/u.test(cluster) ? 2 : 1;
}
