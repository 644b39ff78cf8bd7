import { streamSummary } from '../stream/stream-lines.ts';
import { warningsOf } from '../stream/warnings.ts';
import type { Terminal } from '../terminal.ts';
import { bytes, count, counted, duration, rate } from '../text/amount.ts';
import { onOneLine } from '../text/width.ts';
import { frame } from './frame.ts';
import { elapsed, isOver, type RunView, remaining, type StageView } from './run-view.ts';
import { Screen } from './screen.ts';
import { Speed } from './speed.ts';

/** Shows a run as it goes. Disposing it clears what was redrawn. */
export interface Progress extends Disposable {
  update(view: RunView): void;
  /** A remark that stays: a retry, a notice of the database. */
  note(text: string): void;
}

export function openProgress(terminal: Terminal): Progress {
  if (terminal.json) return { update() {}, note() {}, [Symbol.dispose]() {} };
  return terminal.live ? liveProgress(terminal) : lineProgress(terminal);
}

/** Ten frames a second is smooth and costs nothing against the work. */
const frameMs = 100;

function liveProgress(terminal: Terminal): Progress {
  const screen = new Screen(process.stderr);
  const speed = new Speed();
  let view: RunView | undefined;
  let tick = 0;
  const draw = () => {
    if (!view) return;
    const now = Date.now();
    speed.sample(view, now);
    screen.draw(frame(view, speed, { now, width: screen.width, height: screen.height, tick: tick++ }, terminal.err));
  };
  const timer = setInterval(draw, frameMs);
  return {
    update(next) {
      view = next;
    },
    note(text) {
      screen.print(text);
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      // What comes now is the outcome, which says it all again.
      screen.draw([]);
      screen[Symbol.dispose]();
    },
  };
}

/** Often enough to see that it moves, rarely enough for the log of an hour. */
const lineMs = 10_000;

function lineProgress(terminal: Terminal): Progress {
  const said = new Map<string, string>();
  const warned = new Set<string>();
  let view: RunView | undefined;
  const say = (stage: StageView, text: string) =>
    terminal.say(`${new Date().toISOString().slice(11, 19)}  ${stage.id.padEnd(longest(view))}  ${text}`);
  const timer = setInterval(() => {
    for (const stage of view?.stages ?? [])
      if (stage.at === 'running' && (stage.rows > 0 || stage.stream)) say(stage, onTheWay(stage, Date.now()));
  }, lineMs);
  return {
    update(next) {
      view = next;
      for (const stage of next.stages) {
        const text = changeText(stage);
        if (text === undefined || said.get(stage.id) === text) continue;
        said.set(stage.id, text);
        say(stage, text);
      }
      for (const { id, stream } of next.stages) {
        for (const warning of stream ? warningsOf(stream, stream.health) : []) {
          // The numbers in it change all the time.
          const kind = `${id} ${warning.replace(/[\d.,]+/g, '#')}`;
          if (warned.has(kind)) continue;
          warned.add(kind);
          terminal.say(`${terminal.err.yellow('warning')} ${warning}`);
        }
      }
    },
    note: (text) => terminal.say(text),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

const longest = (view: RunView | undefined): number => Math.max(0, ...(view?.stages ?? []).map(({ id }) => id.length));

function changeText(stage: StageView): string | undefined {
  const again = stage.attempt > 1 ? `, attempt ${stage.attempt}` : '';
  const note = stage.note ? `: ${onOneLine(stage.note)}` : '';
  if (isOver(stage)) return `${stage.at}${stage.startedAt === null ? '' : `  ${summary(stage)}`}${note}`;
  if (stage.phase === 'elsewhere' && stage.at === 'running') return `runs elsewhere${again}${note}`;
  if (stage.at === 'running') return `running in the ${stage.lane} lane${again}`;
  return stage.at === 'retrying' ? `will be tried again${note}` : undefined;
}

function summary(stage: StageView): string {
  const took = elapsed(stage, 0);
  const speed = rate(stage.rows, took);
  // A procedure or a check moves no rows: nothing is said of them.
  const rows = stage.rows > 0 || stage.lane !== 'server' ? [counted(stage.rows, 'row')] : [];
  return [...rows, ...(stage.bytes > 0 ? [bytes(stage.bytes)] : []), `in ${duration(took)}`, ...(speed ? [speed] : [])]
    .join(', ')
    .replace(', in', ' in');
}

function onTheWay(stage: StageView, now: number): string {
  if (stage.stream) return `${stage.phase}: ${streamSummary(stage.stream)}`;
  const left = remaining(stage, now);
  return [
    counted(stage.rows, 'row'),
    rate(stage.rows, elapsed(stage, now)),
    stage.bytes > 0 ? bytes(stage.bytes) : '',
    stage.splits ? `${count(stage.splits.done)} of ${counted(stage.splits.total, 'split')}` : '',
    left === null ? '' : `${duration(left)} left`,
  ]
    .filter(Boolean)
    .join(', ');
}
