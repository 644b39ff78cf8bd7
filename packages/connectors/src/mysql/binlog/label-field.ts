import type { ColumnType } from '@millrace/core/runtime';
import { type Charsets, decodeWith, transcoder } from './charset.ts';
import { corrupt } from './corrupt.ts';
import type { FieldSetting } from './reading.ts';
import { type ReadValue, Scratch } from './scratch.ts';
import type { LogColumn } from './table-map.ts';

/** Of an enum or set. @throws UNSUPPORTED for a character set that nobody can read here */
export function labelsOf({ labels, collation }: LogColumn, charsets: Charsets): string[] {
  const transcode = transcoder(collation ?? 0, charsets);
  const out = new Scratch();
  return (labels ?? []).map((label) => decodeWith(transcode, label, out));
}

export function enumeration(column: LogColumn, wanted: ColumnType | null, setting: FieldSetting): [ColumnType, number, ReadValue] {
  const labels = labelsOf(column, setting.charsets);
  // 0 is what an invalid value became where the server is not strict.
  const texts = ['', ...labels].map((label) => Buffer.from(label, 'utf8'));
  const isDeclared = wanted?.kind === 'enum' && labels.every((label) => wanted.labels.includes(label));
  const longest = Math.max(1, ...labels.map((label) => [...label].length));
  const { size } = column;
  return [
    isDeclared ? wanted : { kind: 'varchar', length: longest },
    size,
    (from, at, out) => {
      const text = texts[size === 1 ? from[at]! : from.readUInt16LE(at)];
      if (!text) throw corrupt(`a value of ${setting.shown} that is none of its ${labels.length} labels`);
      out.copy(text, 0, text.length);
      return at + size;
    },
  ];
}

/** Its members with commas between them, as MySQL prints them. */
export function setOfLabels(column: LogColumn, setting: FieldSetting): [ColumnType, number, ReadValue] {
  const labels = labelsOf(column, setting.charsets);
  const { size } = column;
  return [
    { kind: 'text' },
    size,
    (from, at, out) => {
      out.utf8(labels.filter((_, place) => (from[at + (place >> 3)]! & (1 << (place & 7))) !== 0).join(','));
      return at + size;
    },
  ];
}
