import type { ColumnType } from '@millrace/core/runtime';
import { binaryCollation, type Transcode, transcoder } from './charset.ts';
import { hex, inet4, inet6, uuid } from './plain-values.ts';
import { type Field, type FieldSetting, sized, unreadable, type Write } from './reading.ts';
import { fieldTypes, type LogColumn } from './table-map.ts';

export function characters(
  column: LogColumn,
  wanted: ColumnType | null,
  lengthBytes: number,
  setting: FieldSetting,
  inflate?: (bytes: Buffer) => Buffer,
): Field {
  const inflating =
    (write: Write): Write =>
    (from, start, end, out) => {
      if (!inflate) return write(from, start, end, out);
      const bytes = inflate(from.subarray(start, end));
      write(bytes, 0, bytes.length, out);
    };
  if (column.collation === null) throw unreadable(setting.shown, 'no character set in the log: binlog_row_metadata was not FULL');
  if (column.collation === binaryCollation) {
    const { type, write } = binaryForm(column, wanted, setting);
    return sized(type, lengthBytes, inflating(write));
  }
  const transcode: Transcode = transcoder(column.collation, setting.charsets);
  const { type, write } = textForm(column, wanted, transcode, setting);
  return sized(type, lengthBytes, inflating(write));
}

/** BINARY, VARBINARY, BLOB, and what MariaDB keeps in the same form. BINARY is padded again to its size: zeros at the end are not logged. */
function binaryForm(
  { type, size }: LogColumn,
  wanted: ColumnType | null,
  { catalogType }: FieldSetting,
): { type: ColumnType; write: Write } {
  const padded =
    (write: Write): Write =>
    (from, start, end, out) => {
      if (end - start === size) return write(from, start, end, out);
      const whole = Buffer.alloc(size);
      from.copy(whole, 0, start, end);
      write(whole, 0, size, out);
    };
  const isFixed = type === fieldTypes.string;
  if (isFixed && size === 16 && (catalogType === 'uuid' || wanted?.kind === 'uuid')) return { type: { kind: 'uuid' }, write: padded(uuid) };
  if (isFixed && size === 16 && catalogType === 'inet6') return { type: { kind: 'inet' }, write: padded(inet6) };
  if (isFixed && size === 4 && catalogType === 'inet4') return { type: { kind: 'inet' }, write: padded(inet4) };
  return { type: { kind: 'bytea' }, write: isFixed ? padded(hex) : hex };
}

/** Text as it is; blank-padded where `char(n)` is declared, since MySQL takes the blanks off. */
function textForm(
  column: LogColumn,
  wanted: ColumnType | null,
  transcode: Transcode,
  { charsets, catalogType }: FieldSetting,
): { readonly type: ColumnType; readonly write: Write } {
  const width = charsets.widthOf(column.collation ?? 0);
  const own: ColumnType =
    column.type === fieldTypes.blob || column.type === fieldTypes.blobCompressed
      ? { kind: 'text' }
      : { kind: 'varchar', length: Math.floor((column.size - (column.type === fieldTypes.varcharCompressed ? 1 : 0)) / width) };
  if (catalogType === 'json') return { type: wanted?.kind === 'jsonb' ? wanted : { kind: 'json' }, write: transcode };
  if (wanted?.kind !== 'char' || column.type !== fieldTypes.string || own.kind !== 'varchar' || (own.length ?? 0) > wanted.length)
    return { type: own, write: transcode };
  return {
    type: wanted,
    write: (from, start, end, out) => {
      const begin = out.size;
      transcode(from, start, end, out);
      let characters = 0;
      for (let at = begin; at < out.size; at++) if ((out.bytes[at]! & 0xc0) !== 0x80) characters++;
      for (; characters < wanted.length; characters++) out.byte(32);
    },
  };
}
