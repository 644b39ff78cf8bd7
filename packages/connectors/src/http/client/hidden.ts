/** Texts that no message may show: credentials as they were looked up, and as they are sent. */
export interface Hidden {
  /** The same text, hidden from now on. */
  add(text: string): string;
  /** The same, of what is another one with each request: the last of them are hidden. */
  addPassing(text: string): string;
  clean(message: string): string;
}

/** Shorter ones would tear words apart and protect nothing. */
const shortest = 4;
/** The beginning of a longer one is hidden as well, for messages are cut, and with them what an API repeats. */
const telling = 12;
const mostPassing = 64;

export function hiddenTexts(): Hidden {
  const texts = new Set<string>();
  const passing = new Set<string>();
  return {
    add(text) {
      for (const form of formsOf(text)) texts.add(form);
      return text;
    },
    addPassing(text) {
      for (const form of formsOf(text)) {
        passing.delete(form);
        passing.add(form);
      }
      for (const oldest of passing) {
        if (passing.size <= mostPassing) break;
        passing.delete(oldest);
      }
      return text;
    },
    clean: (message) => without(message, [...texts, ...passing]),
  };
}

/** As it is, and as it stands in a path, in a query and in JSON. */
const formsOf = (text: string): string[] =>
  [text, encodeURIComponent(text), new URLSearchParams({ '': text }).toString().slice(1), JSON.stringify(text).slice(1, -1)].filter(
    ({ length }) => length >= shortest,
  );

function without(message: string, texts: readonly string[]): string {
  let clean = '';
  let end = 0;
  for (let at = 0; at < message.length; at++) {
    const length = texts.reduce((longest, text) => Math.max(longest, matching(message, at, text)), 0);
    if (length > 0 && at >= end) clean += '***';
    end = Math.max(end, at + length);
    if (at >= end) clean += message[at];
  }
  return clean;
}

/** How much of a text stands there; 0 where that is too little to be it. */
function matching(message: string, at: number, text: string): number {
  let length = 0;
  while (length < text.length && message[at + length] === text[length]) length++;
  return length < Math.min(text.length, telling) ? 0 : length;
}
