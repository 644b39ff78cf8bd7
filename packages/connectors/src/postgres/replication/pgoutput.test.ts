import { isMillraceError } from '@millrace/core/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Heard, recordPgoutput } from '../../../test/record-pgoutput.ts';
import { postgresEpoch } from './clock.ts';
import type { ReplicaIdentity } from './relation.ts';

test('every message of every protocol comes out as it went in', () => {
  fc.assert(
    fc.property(stream, fc.uint8Array({ maxLength: 30 }), (messages, around) => {
      const heard: Heard[] = [];
      const parse = recordPgoutput((event) => heard.push(event));
      for (const { bytes } of messages) {
        const placed = Buffer.concat([around, bytes, around]);
        parse(placed, around.length, around.length + bytes.length);
      }
      expect(heard).toEqual(messages.map(({ event }) => event));
    }),
    { numRuns: 300 },
  );
});

test('a message that is cut short, or has a byte too many, is refused and nobody hears of it', () => {
  fc.assert(
    fc.property(stream, (messages) => {
      for (const { bytes } of messages) {
        const isAbort = bytes[0] === 0x41; // has a short form and a long one
        for (let size = 0; size <= bytes.length + 1; size++) {
          if (size === bytes.length || (isAbort && size === 9)) continue;
          if (!refuses(messages, bytes, size)) throw new Error(`${size} bytes of ${bytes.toString('hex')} were taken for a message`);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('whatever bytes come, there is a message or one clear error', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }), (messages, flips) => {
      for (const [which, at, byte] of flips) {
        const { bytes } = messages[which % messages.length]!;
        bytes[at % bytes.length] = byte;
      }
      const parse = recordPgoutput(() => {});
      for (const { bytes } of messages) expectCorruptOrFine(() => parse(bytes, 0, bytes.length));
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), (pieces) => {
      const parse = recordPgoutput(() => {});
      for (const piece of pieces) expectCorruptOrFine(() => parse(Buffer.from(piece), 0, piece.length));
    }),
    { numRuns: 500 },
  );
});

test('a change outside of a transaction, and a transaction within another, are refused', () => {
  const begin = Buffer.concat([text('B'), uint64(1n), uint64(0n), uint32(1)]);
  const insert = Buffer.concat([text('I'), uint32(1), text('N'), tuple([null])]);
  const parser = () => {
    const parse = recordPgoutput(() => {});
    return (bytes: Buffer) => parse(bytes, 0, bytes.length);
  };
  expect(() => parser()(insert)).toThrow('outside of a transaction');
  const parse = parser();
  parse(begin);
  expect(() => parse(begin)).toThrow('within a transaction');
  expect(() => parser()(text('E'))).toThrow('within nothing');
});

test('a row may have as many columns as a table can', () => {
  const parse = recordPgoutput((event) => heard.push(event));
  const heard: Heard[] = [];
  const values = Array.from({ length: 1_600 }, (_, n) => String(n));
  const begin = Buffer.concat([text('B'), uint64(1n), uint64(0n), uint32(1)]);
  const insert = Buffer.concat([text('I'), uint32(1), text('N'), tuple(values)]);
  for (const bytes of [begin, insert]) parse(bytes, 0, bytes.length);
  expect(heard[1]).toEqual(['insert', 1, values, 0]);
});

/** A server's messages, written from the documentation, and what a handler should hear of each. */
interface Sent {
  readonly bytes: Buffer;
  readonly event: Heard;
}

const uint = (bytes: number) => (value: number | bigint) => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
  return buffer.subarray(8 - bytes);
};
const [uint8, uint16, uint32, uint64] = [uint(1), uint(2), uint(4), uint(8)];
const text = (value: string): Buffer => Buffer.from(value, 'utf8');
const cstring = (value: string): Buffer => Buffer.concat([text(value), uint8(0)]);

type Value = string | null | undefined;
const tuple = (values: readonly Value[]): Buffer =>
  Buffer.concat([
    uint16(values.length),
    ...values.map((value) => {
      if (value === null) return text('n');
      if (value === undefined) return text('u');
      return Buffer.concat([text(value.startsWith('b') ? 'b' : 't'), uint32(Buffer.byteLength(value)), text(value)]);
    }),
  ]);

const lsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const instant = fc.bigInt({ min: -(10n ** 15n), max: 10n ** 18n });
const xid = fc.nat({ max: 0xffff_ffff });
const oid = xid;
const name = fc.string({ unit: 'grapheme', maxLength: 12 }).map((value) => value.replaceAll('\0', ''));
const value = fc.oneof(fc.constant(null), fc.constant(undefined), name);
const values = fc.array(value, { maxLength: 8 });
const flag = fc.boolean();
const end = fc.record({ lsn, end: lsn, at: instant });
const prepared = fc.record({ xid, gid: name, lsn, end: lsn, at: instant });
const endBytes = (one: { lsn: bigint; end: bigint; at: bigint }): Buffer =>
  Buffer.concat([uint64(one.lsn), uint64(one.end), uint64(one.at - postgresEpoch)]);
const preparedBytes = (one: { xid: number; gid: string; lsn: bigint; end: bigint; at: bigint }): Buffer =>
  Buffer.concat([endBytes(one), uint32(one.xid), cstring(one.gid)]);

const identities = { d: 'default', n: 'nothing', f: 'full', i: 'index' } as const satisfies Record<string, ReplicaIdentity>;
const column = fc.record({ name, key: flag, typeOid: oid, typmod: fc.integer() });
const relation = fc
  .record({ oid, namespace: name, name, letter: fc.constantFrom('d', 'n', 'f', 'i'), columns: fc.array(column, { maxLength: 5 }) })
  .map(({ letter, ...rest }) => ({
    bytes: Buffer.concat([
      uint32(rest.oid),
      cstring(rest.namespace),
      cstring(rest.name),
      text(letter),
      uint16(rest.columns.length),
      ...rest.columns.flatMap((one) => [uint8(one.key ? 1 : 0), cstring(one.name), uint32(one.typeOid), uint32(one.typmod)]),
    ]),
    relation: { ...rest, namespace: rest.namespace || 'pg_catalog', identity: identities[letter as keyof typeof identities] },
  }));

/** What may stand within a transaction. In a stream, each has the xid of its subtransaction. */
const change = (streamed: boolean): fc.Arbitrary<Sent> => {
  const by = streamed ? xid : fc.constant(0);
  const prefix = (id: number): Buffer => (streamed ? uint32(id) : Buffer.alloc(0));
  return fc.oneof(
    fc.tuple(by, oid, values).map(
      ([id, table, after]): Sent => ({
        bytes: Buffer.concat([text('I'), prefix(id), uint32(table), text('N'), tuple(after)]),
        event: ['insert', table, after, id],
      }),
    ),
    fc.tuple(by, oid, values, fc.option(fc.tuple(fc.constantFrom('K', 'O'), values))).map(
      ([id, table, after, old]): Sent => ({
        bytes: Buffer.concat([
          text('U'),
          prefix(id),
          uint32(table),
          ...(old ? [text(old[0]), tuple(old[1])] : []),
          text('N'),
          tuple(after),
        ]),
        event: ['update', table, old ? old[1] : null, old ? (old[0] === 'K' ? 'key' : 'row') : null, after, id],
      }),
    ),
    fc.tuple(by, oid, values, fc.constantFrom('K', 'O')).map(
      ([id, table, old, kind]): Sent => ({
        bytes: Buffer.concat([text('D'), prefix(id), uint32(table), text(kind), tuple(old)]),
        event: ['delete', table, old, kind === 'K' ? 'key' : 'row', id],
      }),
    ),
    fc.tuple(by, fc.array(oid, { maxLength: 4 }), flag, flag).map(
      ([id, tables, cascade, restartIdentity]): Sent => ({
        bytes: Buffer.concat([
          text('T'),
          prefix(id),
          uint32(tables.length),
          uint8((cascade ? 1 : 0) + (restartIdentity ? 2 : 0)),
          ...tables.map(uint32),
        ]),
        event: ['truncate', tables, { cascade, restartIdentity }, id],
      }),
    ),
    fc.tuple(by, flag, lsn, name, fc.uint8Array({ maxLength: 20 })).map(
      ([id, transactional, at, topic, content]): Sent => ({
        bytes: Buffer.concat([
          text('M'),
          prefix(id),
          uint8(transactional ? 1 : 0),
          uint64(at),
          cstring(topic),
          uint32(content.length),
          content,
        ]),
        event: ['message', topic, Buffer.from(content).toString('latin1'), { transactional, lsn: at }, id],
      }),
    ),
    fc.tuple(by, relation).map(
      ([id, one]): Sent => ({
        bytes: Buffer.concat([text('R'), prefix(id), one.bytes]),
        event: ['relation', one.relation, id],
      }),
    ),
    fc.tuple(by, oid, name, name).map(
      ([id, type, namespace, called]): Sent => ({
        bytes: Buffer.concat([text('Y'), prefix(id), uint32(type), cstring(namespace), cstring(called)]),
        event: ['type', { oid: type, namespace: namespace || 'pg_catalog', name: called }, id],
      }),
    ),
    fc.tuple(lsn, name).map(
      ([at, called]): Sent => ({
        bytes: Buffer.concat([text('O'), uint64(at), cstring(called)]),
        event: ['origin', called, at],
      }),
    ),
  );
};

const between = (first: Sent, changes: readonly Sent[], last: Sent): Sent[] => [first, ...changes, last];
const changes = fc.array(change(false), { maxLength: 6 });

const piece: fc.Arbitrary<Sent[]> = fc.oneof(
  fc
    .tuple(lsn, instant, xid, changes, end)
    .map(([at, when, id, all, commit]) =>
      between(
        { bytes: Buffer.concat([text('B'), uint64(at), uint64(when - postgresEpoch), uint32(id)]), event: ['begin', id, at, when] },
        all,
        { bytes: Buffer.concat([text('C'), uint8(0), endBytes(commit)]), event: ['commit', commit] },
      ),
    ),
  fc.tuple(xid, flag, fc.array(change(true), { maxLength: 6 })).map(([id, first, all]) =>
    between({ bytes: Buffer.concat([text('S'), uint32(id), uint8(first ? 1 : 0)]), event: ['streamStart', id, first] }, all, {
      bytes: text('E'),
      event: ['streamStop'],
    }),
  ),
  fc.tuple(prepared, changes).map(([one, all]) =>
    between({ bytes: Buffer.concat([text('b'), preparedBytes(one)]), event: ['beginPrepare', one] }, all, {
      bytes: Buffer.concat([text('P'), uint8(0), preparedBytes(one)]),
      event: ['prepare', one],
    }),
  ),
  fc
    .tuple(xid, end)
    .map(([id, commit]): Sent[] => [
      { bytes: Buffer.concat([text('c'), uint32(id), uint8(0), endBytes(commit)]), event: ['streamCommit', id, commit] },
    ]),
  fc.tuple(xid, xid, fc.option(end)).map(([id, sub, more]): Sent[] => [
    {
      bytes: Buffer.concat([text('A'), uint32(id), uint32(sub), ...(more ? [uint64(more.lsn), uint64(more.at)] : [])]),
      event: ['streamAbort', id, sub],
    },
  ]),
  prepared.map((one): Sent[] => [{ bytes: Buffer.concat([text('K'), uint8(0), preparedBytes(one)]), event: ['commitPrepared', one] }]),
  prepared.map((one): Sent[] => [{ bytes: Buffer.concat([text('p'), uint8(0), preparedBytes(one)]), event: ['streamPrepare', one] }]),
  fc.record({ xid, gid: name, prepareEnd: lsn, preparedAt: instant, end: lsn, at: instant }).map((one): Sent[] => [
    {
      bytes: Buffer.concat([
        text('r'),
        uint8(0),
        uint64(one.prepareEnd),
        uint64(one.end),
        uint64(one.preparedAt - postgresEpoch),
        uint64(one.at - postgresEpoch),
        uint32(one.xid),
        cstring(one.gid),
      ]),
      event: ['rollbackPrepared', one],
    },
  ]),
);

const stream: fc.Arbitrary<Sent[]> = fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.flat());

/** Parses everything up to a message and then only `size` bytes of it, among bytes that are others'. */
function refuses(messages: readonly Sent[], message: Buffer, size: number): boolean {
  let last = false;
  const parse = recordPgoutput(() => {
    if (last) throw new Error('the handler heard of it');
  });
  for (const { bytes } of messages) {
    if (bytes === message) break;
    parse(bytes, 0, bytes.length);
  }
  last = true;
  const placed = Buffer.concat([message, Buffer.alloc(8, 0x74)]);
  try {
    parse(placed, 0, size);
    return false;
  } catch (error) {
    return isMillraceError(error) && error.code === 'WIRE_CORRUPT';
  }
}

function expectCorruptOrFine(parse: () => void): void {
  try {
    parse();
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'WIRE_CORRUPT') throw error;
  }
}
