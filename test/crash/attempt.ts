/**
 * One attempt at the stages of a run, in the process of the test or in one that the test kills: `node attempt.js '{"way": …}'`.
 * What a state store would remember from one attempt to the next stands in a file, the journal.
 */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { compile, type FilesRef, MillraceError, type ReadPlan, runStage, type StagedPart, type StageOutput } from '@millrace/core/runtime';
import { type Place, wayNamed } from './ways.ts';

export interface Errand {
  readonly way: string;
  readonly place: Place;
  /** 1, 2, …: its id, its logical time and its name follow. */
  readonly run: number;
  readonly epoch: number;
  /** Ends when these stages have been run; all of them where it is left out. */
  readonly until?: readonly string[];
  /** A file of this run alone. */
  readonly journal: string;
}

interface Journal {
  epoch: number;
  outputs: Record<string, StageOutput>;
  plan: ReadPlan | null;
  parts: StagedPart[];
}

export async function attempt({ way, place, run, epoch, until, journal }: Errand): Promise<readonly StageOutput[]> {
  const { pipeline: make, concurrency } = wayNamed(way);
  const pipeline = make(place);
  const plan = compile(pipeline);
  const kept = openJournal(journal, epoch);
  const day = `2026-03-0${run}`;
  const spool = mkdtempSync(`${journal}.spool-`);
  try {
    for (const stage of plan.stages) {
      const { outputs, plan: read, parts } = kept.read();
      if (outputs[stage.id] || until?.includes(stage.id) === false) continue;
      const files = Object.entries(outputs).flatMap(([id, output]) =>
        output.kind === 'load' && output.receipt.files ? [[id, output.receipt.files] as const] : [],
      );
      const output = await runStage(
        {
          run: { id: `run-${run}`, pipeline: pipeline.name, logicalTime: `${day}T00:00:00.000Z`, date: day, window: null, params: {} },
          runAt: `${day}T00:00:00.000Z`,
          fullRefresh: false,
          stage,
          epoch,
          redone: 0,
          files: Object.fromEntries(files) as Record<string, FilesRef>,
          earlier: { plan: read, parts },
          concurrency,
          memoryBudget: 256 * 1024 * 1024,
        },
        pipeline,
        {
          signal: new AbortController().signal,
          secret: async ({ name }) => {
            throw new MillraceError('SECRET_MISSING', { message: name, remedy: 'Write it into the pipeline.' });
          },
          now: () => new Date(),
          spool,
          log: { info: () => {}, warn: () => {} },
          progress: () => {},
          storePlan: async (made) => kept.change((state) => ({ ...state, plan: made, parts: made.continuesEarlier ? state.parts : [] })),
          storePart: async (part) =>
            kept.change((state) => ({ ...state, parts: [...state.parts.filter(({ split }) => split !== part.split), part] })),
          forgetParts: async () => kept.change((state) => ({ ...state, parts: [] })),
        },
      );
      kept.change((state) => ({ ...state, outputs: { ...state.outputs, [stage.id]: output }, plan: null, parts: [] }));
    }
    return Object.values(kept.read().outputs);
  } finally {
    rmSync(spool, { recursive: true, force: true });
  }
}

/** A state store would refuse what an older attempt wants to write; here it is not heard, so that the sinks' own fences are what is tested. */
function openJournal(file: string, epoch: number) {
  const read = (): Journal => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { epoch, outputs: {}, plan: null, parts: [] });
  const write = (state: Journal): void => {
    writeFileSync(`${file}.${epoch}`, JSON.stringify(state));
    renameSync(`${file}.${epoch}`, file);
  };
  write({ ...read(), epoch });
  return {
    read,
    change(to: (state: Journal) => Journal): void {
      const state = read();
      if (state.epoch === epoch) write(to(state));
    },
  };
}

if (process.argv[2]?.startsWith('{')) void attempt(JSON.parse(process.argv[2]) as Errand);
