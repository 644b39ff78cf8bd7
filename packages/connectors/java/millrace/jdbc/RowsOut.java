package millrace.jdbc;

import java.sql.ResultSet;

/**
 * Rows of an answer as batches. A batch is: rows (u32), columns (u32), place of the directory (u32), nothing (u32); the bytes of text
 * and binary values, row after row; then the arrays of each column; then the directory, four words for each column. Arrays stand at
 * multiples of eight, so that the reader can look at them where they are.
 */
final class RowsOut {
  interface Next {
    void take(Out batch) throws Exception;
  }

  private static final int MOST_ROWS = 16_384;
  private static final int MOST_BYTES = 2 * 1024 * 1024;
  private static final int HEAD = 16;

  private final ResultSet results;
  private final Column[] columns;
  private final String[] names;
  private final Out out = new Out(256 * 1024);
  private int rows;

  RowsOut(ResultSet results, Column[] columns, String[] names) {
    this.results = results;
    this.columns = columns;
    this.names = names;
  }

  long send(Next next) throws Exception {
    long sent = 0;
    begin();
    while (results.next()) {
      int at = 0;
      try {
        for (; at < columns.length; at++) columns[at].read(results, this);
      } catch (Exception error) {
        throw new Failure.AtValue(names[at], sent + rows, error);
      }
      rows++;
      if (rows == MOST_ROWS || out.at > MOST_BYTES) {
        sent += rows;
        next.take(end());
        begin();
      }
    }
    if (rows > 0) {
      sent += rows;
      next.take(end());
    }
    return sent;
  }

  private void begin() {
    rows = 0;
    out.at = Frame.HEADER + HEAD;
    for (Column column : columns) column.cells().clear();
  }

  private Out end() {
    int[] directory = new int[4 * columns.length];
    int[] entry = new int[4];
    for (int i = 0; i < columns.length; i++) {
      columns[i].cells().write(out, entry);
      System.arraycopy(entry, 0, directory, 4 * i, 4);
    }
    out.align();
    int place = Cells.writeInts(out, directory, directory.length);
    In.INT.set(out.bytes, Frame.HEADER, rows);
    In.INT.set(out.bytes, Frame.HEADER + 4, columns.length);
    In.INT.set(out.bytes, Frame.HEADER + 8, place);
    In.INT.set(out.bytes, Frame.HEADER + 12, 0);
    return out;
  }

  void bytes(Cells.Places cells, byte[] value) {
    out.room(value.length);
    System.arraycopy(value, 0, out.bytes, out.at, value.length);
    cells.add(Cells.place(out), value.length);
    out.at += value.length;
  }

  /** As UTF-8; null is NULL. Half of a surrogate pair has none. */
  void text(Cells.Places cells, CharSequence value) throws Failure.BadValue {
    if (value == null) {
      cells.addNull();
      return;
    }
    int length = value.length();
    out.room(Math.multiplyExact(3, length));
    byte[] bytes = out.bytes;
    int from = out.at;
    int to = from;
    int i = 0;
    for (; i < length; i++) {
      char c = value.charAt(i);
      if (c >= 0x80) break;
      bytes[to++] = (byte) c;
    }
    for (; i < length; i++) {
      char c = value.charAt(i);
      if (c < 0x80) bytes[to++] = (byte) c;
      else if (c < 0x800) {
        bytes[to++] = (byte) (0xc0 | c >> 6);
        bytes[to++] = (byte) (0x80 | c & 0x3f);
      } else if (!Character.isSurrogate(c)) {
        bytes[to++] = (byte) (0xe0 | c >> 12);
        bytes[to++] = (byte) (0x80 | c >> 6 & 0x3f);
        bytes[to++] = (byte) (0x80 | c & 0x3f);
      } else {
        if (!Character.isHighSurrogate(c) || i + 1 == length || !Character.isLowSurrogate(value.charAt(i + 1)))
          throw new Failure.BadValue("the text holds half of a surrogate pair, which is no character");
        int point = Character.toCodePoint(c, value.charAt(++i));
        bytes[to++] = (byte) (0xf0 | point >> 18);
        bytes[to++] = (byte) (0x80 | point >> 12 & 0x3f);
        bytes[to++] = (byte) (0x80 | point >> 6 & 0x3f);
        bytes[to++] = (byte) (0x80 | point & 0x3f);
      }
    }
    cells.add(from - Frame.HEADER, to - from);
    out.at = to;
  }
}
