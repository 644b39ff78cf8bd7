import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Screen } from './screen.ts';

/** A terminal of this many columns that knows what Screen uses: CR, LF, cursor up, clear to the end of line and of screen, wrapping. */
function terminal(columns: number, rows: number) {
  let lines: string[] = [''];
  let row = 0;
  let column = 0;
  const put = (char: string) => {
    if (column === columns) newLine();
    const line = (lines[row] ?? '').padEnd(column);
    lines[row] = line.slice(0, column) + char + line.slice(column + 1);
    column++;
  };
  const newLine = () => {
    row++;
    column = 0;
    lines[row] ??= '';
  };
  const stream = {
    columns,
    rows,
    write(text: string) {
      for (const token of text.match(/\u001b\[\??\d*[a-zA-Z]|[\s\S]/g) ?? []) {
        if (token === '\n') newLine();
        else if (token === '\r') column = 0;
        else if (token.endsWith('A') && token.length > 1) row = Math.max(0, row - Number(token.slice(2, -1)));
        else if (token === '\u001b[K') lines[row] = (lines[row] ?? '').slice(0, column);
        else if (token === '\u001b[J') {
          lines[row] = (lines[row] ?? '').slice(0, column);
          lines = lines.slice(0, row + 1);
        } else if (!token.startsWith('\u001b')) put(token);
      }
      return true;
    },
  };
  return {
    stream: stream as unknown as NodeJS.WriteStream,
    text: () =>
      lines
        .map((line) => line.trimEnd())
        .join('\n')
        .trimEnd(),
  };
}

const line = fc.stringMatching(/^[a-z ]{0,40}$/).map((text) => text.trimEnd());

test('whatever is drawn and printed, the screen shows what was printed and then the last frame', () => {
  const actions = fc.array(fc.oneof(fc.record({ draw: fc.array(line, { maxLength: 8 }) }), fc.record({ print: line })), { maxLength: 20 });
  fc.assert(
    fc.property(actions, (all) => {
      const { stream, text } = terminal(40, 24);
      const printed: string[] = [];
      let frame: readonly string[] = [];
      {
        using screen = new Screen(stream);
        for (const action of all) {
          if ('draw' in action) {
            frame = action.draw;
            screen.draw(frame);
          } else {
            printed.push(action.print);
            screen.print(action.print);
          }
        }
      }
      expect(text()).toBe([...printed, ...frame].join('\n').trimEnd());
    }),
  );
});

test('a frame is one write, so that no half of it is ever seen', () => {
  const writes: string[] = [];
  const stream = { columns: 80, rows: 24, write: (text: string) => writes.push(text) } as unknown as NodeJS.WriteStream;
  using screen = new Screen(stream);
  writes.length = 0;
  screen.draw(['one', 'two']);
  screen.draw(['one', 'three']);
  expect(writes).toHaveLength(2);
});
