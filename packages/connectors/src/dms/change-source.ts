import { setTimeout as sleep } from 'node:timers/promises';
import type {
  ChangeGroup,
  ChangeSource,
  Position,
  ReadChanges,
  StreamHealth,
  StreamIdentity,
  StreamStatus,
  TableSnapshot,
} from '@millrace/core/runtime';
import { Discovery } from './discovery.ts';
import { changesBefore, horizonsOf } from './earlier-files.ts';
import { entryGroups } from './entry-groups.ts';
import { passing } from './failpoints.ts';
import { checkAlive } from './life-cycle.ts';
import { clockMargin } from './load-files.ts';
import { placeOf, positionAt } from './place.ts';
import { readingIn, type SourceParts, statusEvery } from './source-parts.ts';
import { resumeTask, startLoad } from './start-task.ts';
import { DmsTableSource, type TableFiles } from './table-source.ts';

/** What DMS writes to S3, as a stream. */
export class DmsChangeSource implements ChangeSource {
  readonly #parts: SourceParts;
  readonly #discovery: Discovery;
  #released = 0;
  #wake: () => void = () => {};

  constructor(parts: SourceParts) {
    this.#parts = parts;
    this.#discovery = new Discovery(parts);
  }

  async stream(): Promise<StreamStatus | null> {
    const { journal, control, context } = this.#parts;
    await journal.refresh();
    if (!journal.begin || (await control.status(context)).freshStart === null) return null;
    await resumeTask(this.#parts);
    await this.#discovery.look();
    const identity = this.#identity();
    const [, confirmed = identity.origin] = [positionAt(journal.first), identity.origin].sort();
    return { identity, confirmed, end: positionAt(journal.next) };
  }

  async create(): Promise<{ readonly identity: StreamIdentity; readonly snapshot: TableSnapshot }> {
    const { journal, context, tables } = this.#parts;
    await journal.refresh();
    const shapes = await this.#parts.shapes?.(context);
    const startedAt = await startLoad(this.#parts, journal.begin?.startedAt ?? null);
    passing('dms.task.started');
    do await journal.refresh();
    while (
      !(await journal.append({ kind: 'begin', startedAt, horizons: await horizonsOf(this.#parts, startedAt), ...(shapes && { shapes }) }))
    );
    const identity = this.#identity();
    return { identity, snapshot: this.#snapshot(identity.origin, Object.keys(tables)) };
  }

  async snapshot(tables: readonly string[]): Promise<TableSnapshot> {
    await resumeTask(this.#parts);
    await this.#discovery.look();
    return this.#snapshot(positionAt(this.#parts.journal.next), tables);
  }

  async *read(after: Position, options: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
    await resumeTask(this.#parts);
    yield* this.#follow(after, options, Object.keys(this.#parts.tables));
  }

  release(position: Position): void {
    const { entry } = placeOf(position);
    if (entry <= this.#released) return;
    this.#released = entry;
    void this.#parts.journal.prune(entry).catch((error: unknown) => {
      this.#parts.context.log.warn(
        `old entries of the journal could not be removed: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }

  async nudge(): Promise<void> {
    await this.#discovery.mark();
    this.#wake();
  }

  async health(): Promise<StreamHealth> {
    const { journal, control, context, slot } = this.#parts;
    const state = await control.status(context);
    checkAlive(state, control.label);
    const waiting = [...journal.streams.values()].flatMap(({ recent }) =>
      [...recent.values()].filter(({ entry }) => entry >= this.#released),
    );
    const bytes = waiting.reduce((sum, { size }) => sum + size, 0);
    return {
      slot,
      state: state.status,
      retainedBytes: bytes,
      budgetBytes: null,
      lagBytes: bytes,
      growthPerSecond: 0,
      spooledBytes: 0,
      warnings:
        state.status === 'running' ? [] : [`${control.label} is ${state.status}${state.stopReason ? ` (${state.stopReason})` : ''}`],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#discovery.ended();
    await this.#parts.storage[Symbol.asyncDispose]();
  }

  #identity(): StreamIdentity {
    const { control, journal, slot } = this.#parts;
    return { source: `dms:${control.arn}`, slot, origin: positionAt((journal.begin?.entry ?? 0) + 1) };
  }

  #snapshot(position: Position, tables: readonly string[]): TableSnapshot {
    const { storage, context, settings } = this.#parts;
    return {
      position,
      table: async (name) =>
        new DmsTableSource({
          name,
          table: readingIn(this.#parts, name),
          lobKilobytes: settings.lobKilobytes(name),
          storage,
          context,
          files: () => this.#filesAt(name, position),
          check: (rows) => this.#parts.check(name, rows),
        }),
      read: (options) => this.#follow(position, options, tables),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  async #filesAt(name: string, position: Position): Promise<TableFiles> {
    const load = await this.#discovery.load(name);
    const changes = await changesBefore(this.#parts, name, placeOf(position).entry);
    return {
      load: load.files,
      loadedRows: load.rows,
      changes: changes.map((file) => ({
        ...file,
        isAfter: Date.parse(file.modified) >= Date.parse(load.startedAt) - clockMargin,
      })),
    };
  }

  async *#follow(after: Position, options: ReadChanges, tables: readonly string[]): AsyncGenerator<ChangeGroup, void, undefined> {
    const { journal, context, control, settings } = this.#parts;
    const signal = AbortSignal.any([options.signal, context.signal]);
    let { entry, place } = placeOf(after);
    let looked = performance.now();
    while (!signal.aborted) {
      if (options.until !== undefined && positionAt(entry, place) >= options.until) return;
      if (entry >= journal.next) {
        await this.#discovery.look();
        if (entry < journal.next) continue;
        if (performance.now() - looked > statusEvery) {
          checkAlive(await control.status(context), control.label);
          looked = performance.now();
        }
        await this.#pause(settings.pollMs, signal);
        continue;
      }
      try {
        for await (const group of entryGroups(this.#parts, { number: entry, from: place, tables, signal })) {
          yield group;
          passing('dms.group.handed');
          if (options.until !== undefined && group.position() >= options.until) return;
        }
      } catch (error) {
        // An end that was asked for is none that broke off.
        if (signal.aborted && !context.signal.aborted && error === signal.reason) return;
        throw error;
      }
      entry++;
      place = 0;
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const before = this.#wake;
    this.#wake = () => {
      stop.abort();
      before();
    };
    await sleep(ms, undefined, { signal: AbortSignal.any([signal, stop.signal]) }).catch(() => {});
    this.#wake = before;
  }
}
