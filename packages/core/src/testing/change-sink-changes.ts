import assert from 'node:assert/strict';
import type { ColumnChange, Position } from '../connector/index.ts';
import { isMillraceError } from '../error/index.ts';
import { int4, int8, type RowSchema, text } from '../schema/index.ts';
import { changeGroup } from './change-groups.ts';
import type { ChangeSinkSuiteOptions } from './change-sink.ts';
import { bare, insert, row, things, update, type World } from './change-sink-world.ts';
import type { LoggedTransaction, MemoryRow, Statement } from './memory-database.ts';
import { workloadTables } from './workload.ts';

type WithSink = (name: string, body: (world: World) => Promise<void>) => void;

/** What becomes of the changes of a group. */
export function groupsOfChanges(withSink: WithSink, { isLog, keyless }: Pick<Required<ChangeSinkSuiteOptions>, 'isLog' | 'keyless'>): void {
  withSink('inserts, updates and deletes come to what the source has', async (world) => {
    await using playing = await world.play({ things });
    await playing.commit(insert(1), insert(2), insert(3));
    await playing.commit(update(1, { name: 'one' }), { do: 'delete', table: 'things', key: { id: 2n } });
    await playing.commit(update(3, { id: 5n }), update(5, { size: 7 }), insert(3));
    await playing.apply();
    assert.equal(await playing.sink.flush(), playing.database.end);
    await playing.compare();
  });

  withSink('all of a group in one go comes to the same: the last of each row counts', async (world) => {
    await using playing = await world.play({ things });
    await playing.commit(insert(1), insert(2));
    await playing.apply();
    await playing.commit(
      insert(3),
      update(3, { name: 'a' }),
      update(3, { name: 'b' }),
      { do: 'delete', table: 'things', key: { id: 1n } },
      insert(1, { name: 'again' }),
      { do: 'delete', table: 'things', key: { id: 2n } },
      insert(4),
      { do: 'delete', table: 'things', key: { id: 4n } },
    );
    await playing.apply();
    await playing.compare();
  });

  withSink('keys may go round in a circle', async (world) => {
    await using playing = await world.play({ things });
    await playing.commit(insert(1), insert(2), insert(3));
    await playing.apply();
    await playing.commit(update(1, { id: 9n }), update(2, { id: 1n }), update(3, { id: 2n }), update(9, { id: 3n }));
    await playing.apply();
    await playing.compare();
  });

  withSink('a value that an update left as it was stays, also after an insert or a change of key in the same group', async (world) => {
    await using playing = await world.play({ things }, ['body']);
    await playing.commit(insert(1, { body: 'old' }), insert(2, { body: 'two' }), insert(3, { body: 'three' }), insert(6, { body: null }));
    await playing.apply();
    await playing.commit(
      update(1, { name: 'x' }),
      insert(4, { body: 'new' }),
      update(4, { size: 1 }),
      update(2, { id: 12n }),
      update(3, { body: 'other' }),
      update(3, { name: 'y' }),
      insert(5, { body: 'five' }),
      update(5, { id: 15n }),
      update(15, { size: 3 }),
      update(6, { size: 6 }),
    );
    await playing.apply();
    await playing.compare();
    await playing.commit(
      update(12, { id: 2n }),
      update(2, { name: 'back' }),
      { do: 'delete', table: 'things', key: { id: 4n } },
      insert(4, { body: 'again' }),
      update(4, { name: 'z' }),
    );
    await playing.apply();
    await playing.compare();
  });

  if (!isLog) {
    withSink('an update of a row that is not there inserts it where it brings everything, and is refused else', async (world) => {
      await using playing = await world.play({ things }, ['body']);
      const { database } = playing;
      await playing.commit(insert(1), insert(2));
      playing.skip(); // the target does not get these
      await playing.commit(update(1, { name: 'here', body: 'all of it' }));
      await playing.apply();
      await playing.sink.flush();
      assert.deepEqual(await world.read('things'), [{ ...row(1), name: 'here', body: 'all of it' }]);
      const { position } = playing;
      await playing.commit(insert(3), update(2, { name: 'unknown body' }));
      await assert.rejects(async () => {
        await playing.apply();
        await playing.sink.flush();
      }, isMillraceError);
      assert.deepEqual(await world.read('things'), [{ ...row(1), name: 'here', body: 'all of it' }]);
      await using attempt = await world.open();
      assert.equal(attempt.state.position, position);
      assert.ok(database.end > (position as Position));
    });

    withSink('a row that was deleted in between does not lend its values to an update that does not bring them', async (world) => {
      // As a filter has it on the way: the row goes, changes, and comes back.
      await using playing = await world.play({ things }, ['body']);
      await playing.commit(insert(1, { body: 'old' }));
      await playing.apply();
      await playing.sink.flush();
      await playing.commit({ do: 'delete', table: 'things', key: { id: 1n } }, insert(1, { body: 'new' }), update(1, { name: 'back' }));
      await assert.rejects(async () => {
        await playing.apply({ without: ({ kind }) => kind === 'insert' });
        await playing.sink.flush();
      }, isMillraceError);
      assert.deepEqual(await world.read('things'), [{ ...row(1), body: 'old' }]);
    });
  }

  withSink('a truncate stands where it stood', async (world) => {
    await using playing = await world.play({ things, pairs: workloadTables.pairs });
    await playing.commit(insert(1), insert(2), { do: 'insert', table: 'pairs', row: { a: 1, b: 'x', n: 1 } });
    await playing.apply();
    await playing.commit(insert(3), { do: 'truncate', tables: ['things'] }, insert(2, { name: 'after' }));
    await playing.commit(insert(3), { do: 'insert', table: 'pairs', row: { a: 2, b: 'x', n: 1 } });
    await playing.apply();
    await playing.compare();
    await playing.commit({ do: 'truncate', tables: ['things', 'pairs'] });
    await playing.apply();
    await playing.compare();
  });

  if (keyless) {
    withSink('rows without a key are told apart by all they have, and equal ones go one by one', async (world) => {
      await using playing = await world.play({ bare });
      const same: MemoryRow = { a: 1, b: null };
      await playing.commit(
        { do: 'insert', table: 'bare', row: { a: 1, b: 'x' } },
        { do: 'insert', table: 'bare', row: { a: null, b: 'y' } },
      );
      await playing.apply();
      await playing.commit(
        { do: 'update', table: 'bare', key: { a: 1, b: 'x' }, set: { b: null } },
        { do: 'delete', table: 'bare', key: { a: null, b: 'y' } },
      );
      await playing.apply();
      await playing.sink.flush();
      assert.deepEqual(await world.read('bare', bare), [same]);
      // The memory's tables have no two equal rows; a group that brings one twice is made by hand.
      await playing.put([same, same, { a: 2, b: 'z' }]);
      await playing.sink.flush();
      assert.deepEqual(await world.read('bare', bare), [same, same, same, { a: 2, b: 'z' }]);
      await playing.commit({ do: 'delete', table: 'bare', key: same });
      await playing.apply();
      await playing.sink.flush();
      assert.deepEqual(await world.read('bare', bare), [same, same, { a: 2, b: 'z' }]);
    });
  }

  withSink('a group without changes moves the position, in time', async (world) => {
    await using playing = await world.play({ things });
    await playing.commit(insert(1));
    await playing.apply();
    playing.database.nudge();
    const answered = await playing.sink.apply(changeGroup([], { position: playing.database.end }));
    assert.ok(answered <= playing.database.end);
    assert.equal(await playing.sink.flush(), playing.database.end);
    await using attempt = await world.open();
    assert.equal(attempt.state.position, playing.database.end);
  });

  for (const giant of [false, true]) {
    withSink(`a group that breaks off leaves nothing, and can come again (${giant ? 'large' : 'small'})`, async (world) => {
      await using playing = await world.play({ things });
      await playing.commit(insert(1));
      await playing.apply();
      await playing.sink.flush();
      await playing.commit(...Array.from({ length: 12 }, (_, id) => insert(2 + id)), update(1, { name: 'half' }));
      let parts = 0;
      const beforePart = (): void => {
        if (++parts === 3) throw new Error('cut');
      };
      await assert.rejects(playing.apply({ giant, partRows: 4, beforePart }), /cut/);
      assert.deepEqual(await world.read('things'), [row(1)]);
      await using again = await world.play({ things }, [], playing);
      await again.apply({ giant, partRows: 4 });
      await again.compare();
    });
  }

  withSink('a transaction whose end is not known before it is read is one act', async (world) => {
    await using playing = await world.play({ things });
    await playing.commit(...Array.from({ length: 50 }, (_, id) => insert(id + 1)));
    await playing.apply({ giant: true, partRows: 7 });
    await playing.commit(
      ...Array.from({ length: 50 }, (_, id) => update(id + 1, { size: id })),
      { do: 'truncate', tables: ['things'] },
      insert(3),
    );
    await playing.apply({ giant: true, partRows: 7 });
    await playing.compare();
    await using attempt = await world.open({ things });
    assert.equal(attempt.state.position, playing.database.end);
  });
}

/** What becomes of changes of columns. */
export function changesOfColumns(withSink: WithSink, columnChanges: readonly ColumnChange['change'][]): void {
  const cases = Object.entries(columnChange).filter(([, { changes }]) => changes.every(({ change }) => columnChanges.includes(change)));
  for (const [kind, { changes, after, later = update(1, { name: 'later' }) }] of cases) {
    withSink(`a column change (${kind}) stands where it stood, and does nothing the second time`, async (world) => {
      await using playing = await world.play({ things });
      await playing.commit(insert(1), insert(2, { size: 12 }));
      await playing.apply();
      const since = playing.position as Position;
      await playing.commit({ do: 'alter', table: 'things', changes }, ...after);
      await playing.apply();
      await playing.compare();
      const declared = await world.play({ things }, [], playing);
      await using again = declared;
      // Another attempt hears of it again, since its source knows the declaration only.
      const alter = playing.logged(since, ['things'])[0] as LoggedTransaction;
      await again.commit(later);
      const [logged] = again.logged(again.position as Position, ['things']) as [LoggedTransaction];
      const retold = alter.changes.flatMap((one) => (one.kind === 'schema' ? [{ ...one, retold: true }] : []));
      await again.applied({ ...logged, changes: [...retold, ...logged.changes] });
      await again.compare();
    });
  }
}

const nullable = (name: string, column: { readonly type: RowSchema['columns'][number]['type'] }) => ({
  name,
  type: column.type,
  nullable: true,
});
interface Alter {
  readonly changes: readonly ColumnChange[];
  readonly after: readonly Statement[];
  /** What the next attempt hears of. */
  readonly later?: Statement;
}

const columnChange: Readonly<Record<string, Alter>> = {
  add: {
    changes: [{ change: 'add', column: nullable('colour', text()), fill: 'red' }],
    after: [insert(3, { colour: 'blue' }), update(1, { colour: null })],
  },
  drop: { changes: [{ change: 'drop', name: 'size' }], after: [update(1, { name: 'smaller' })] },
  rename: { changes: [{ change: 'rename', from: 'name', to: 'title' }], after: [update(1, { title: 'sir' })] },
  retype: {
    changes: [{ change: 'retype', name: 'size', from: nullable('size', int4()), to: nullable('size', int8()) }],
    after: [update(1, { size: 5_000_000_000n }), update(2, { size: 12n })],
  },
  'drop, rename to its name': {
    changes: [
      { change: 'drop', name: 'size' },
      { change: 'rename', from: 'name', to: 'size' },
    ],
    after: [insert(3, { size: 'large' }), update(1, { size: 'small' })],
  },
  'drop, add of another type': {
    changes: [
      { change: 'drop', name: 'name' },
      { change: 'add', column: nullable('name', int4()), fill: null },
    ],
    after: [insert(3, { name: 3 }), update(1, { name: 1 })],
    later: update(1, { name: 4 }),
  },
  'rename, add of its name': {
    changes: [
      { change: 'rename', from: 'name', to: 'title' },
      { change: 'add', column: nullable('name', text()), fill: 'none' },
    ],
    after: [insert(3, { title: 'sir', name: 'c' }), update(1, { title: 'lady' })],
  },
};
