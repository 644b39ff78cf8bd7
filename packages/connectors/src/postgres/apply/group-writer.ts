import { type ChangeGroup, type ChangePart, MillraceError, type Position } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import type { Applying } from './apply-sink.ts';
import { compact } from './compact.ts';
import { passing } from './failpoints.ts';
import { type Segment, segmentsOf } from './segments.ts';
import { beginMove, move } from './stream-state.ts';
import { referredFirst } from './table-order.ts';
import { columnsOf } from './target-table.ts';
import { type TableWork, writeMirror } from './write-mirror.ts';

/** Writes groups, each in one transaction with its position. */
export class GroupWriter {
  readonly #applying: Applying;
  readonly #session: Session;

  constructor(applying: Applying, session: Session) {
    this.#applying = applying;
    this.#session = session;
  }

  async write(group: ChangeGroup): Promise<Position> {
    const session = this.#session;
    const { hold } = this.#applying;
    const early = group.size === null ? null : group.position();
    const parts: AsyncIterable<ChangePart> | ChangePart[] = group.size === null ? group.parts : await listOf(group.parts);
    try {
      await beginMove(session, hold, early);
      passing('postgres.apply.begun');
      for await (const part of segmentsOf(parts)) {
        if (part.kind === 'segment') await this.#writeSegment(part);
        else throw new MillraceError('UNSUPPORTED', { message: 'Not yet.', remedy: '' });
      }
      passing('postgres.apply.written');
      const position = early ?? group.position();
      if (early === null) await move(session, hold, position);
      passing('postgres.apply.positioned');
      await session.execute('COMMIT');
      passing('postgres.apply.committed');
      return position;
    } catch (error) {
      await session.execute('ROLLBACK').catch(() => {});
      throw error;
    }
  }

  async #writeSegment({ changes }: Segment): Promise<void> {
    const { targets } = this.#applying;
    const works: TableWork[] = [];
    for (const target of referredFirst([...targets.values()])) {
      const parts = changes.get(target.table);
      if (!parts?.[0]) continue;
      const compacted = compact(parts, target.key);
      if (!compacted) throw new MillraceError('UNSUPPORTED', { message: 'Not yet.', remedy: '' });
      works.push({ target, compacted, columns: columnsOf(target, parts[0].rows.schema, false) });
    }
    await writeMirror(this.#session, works);
  }
}

async function listOf(parts: AsyncIterable<ChangePart>): Promise<ChangePart[]> {
  const list: ChangePart[] = [];
  for await (const part of parts) list.push(part);
  return list;
}
