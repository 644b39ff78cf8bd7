package millrace.jdbc;

import java.util.Arrays;

/** The values of one column of a batch that is being filled. */
abstract class Cells {
  int rows;

  /** Appends them to the batch, and writes the four words of the column's entry in its directory: form, and where its parts stand. */
  abstract void write(Out out, int[] entry);

  abstract void clear();

  static int place(Out out) {
    return out.at - Frame.HEADER;
  }

  /** Values of a fixed width with Arrow's bitmap of those that are there, which is left out where all are. */
  abstract static class Fixed extends Cells {
    private byte[] validity = new byte[128];
    private boolean hasNull;

    final void valid(boolean isNull) {
      int at = rows >> 3;
      if (at == validity.length) validity = Arrays.copyOf(validity, at * 2);
      if (isNull) hasNull = true;
      else validity[at] |= (byte) (1 << (rows & 7));
      rows++;
    }

    final int writeValidity(Out out) {
      if (!hasNull) return 0;
      int size = (rows + 7) >> 3;
      out.room(size);
      int at = place(out);
      System.arraycopy(validity, 0, out.bytes, out.at, size);
      out.at += size;
      return at;
    }

    @Override
    void clear() {
      Arrays.fill(validity, 0, ((rows + 7) >> 3), (byte) 0);
      hasNull = false;
      rows = 0;
    }
  }

  static final class Ints extends Fixed {
    private int[] values = new int[1024];

    void add(int value, boolean isNull) {
      if (rows == values.length) values = Arrays.copyOf(values, rows * 2);
      values[rows] = value;
      valid(isNull);
    }

    @Override
    void write(Out out, int[] entry) {
      out.align();
      entry[0] = 1;
      entry[1] = writeInts(out, values, rows);
      entry[2] = writeValidity(out);
    }
  }

  static int writeInts(Out out, int[] values, int count) {
    int at = place(out);
    out.room(4 * count);
    byte[] bytes = out.bytes;
    int to = out.at;
    for (int i = 0; i < count; i++, to += 4) In.INT.set(bytes, to, values[i]);
    out.at = to;
    return at;
  }

  static final class Longs extends Fixed {
    private long[] values = new long[1024];

    void add(long value, boolean isNull) {
      if (rows == values.length) values = Arrays.copyOf(values, rows * 2);
      values[rows] = value;
      valid(isNull);
    }

    @Override
    void write(Out out, int[] entry) {
      out.align();
      entry[0] = 3;
      entry[1] = place(out);
      out.room(8 * rows);
      for (int i = 0; i < rows; i++, out.at += 8) In.LONG.set(out.bytes, out.at, values[i]);
      entry[2] = writeValidity(out);
    }
  }

  static final class Doubles extends Fixed {
    private double[] values = new double[1024];

    void add(double value, boolean isNull) {
      if (rows == values.length) values = Arrays.copyOf(values, rows * 2);
      values[rows] = value;
      valid(isNull);
    }

    @Override
    void write(Out out, int[] entry) {
      out.align();
      entry[0] = 2;
      entry[1] = place(out);
      out.room(8 * rows);
      for (int i = 0; i < rows; i++, out.at += 8) In.DOUBLE.set(out.bytes, out.at, values[i]);
      entry[2] = writeValidity(out);
    }
  }

  /** Values whose bytes stand in the batch already, row after row. */
  static final class Places extends Cells {
    private int[] starts = new int[1024];
    private int[] lengths = new int[1024];

    void add(int start, int length) {
      if (rows == starts.length) {
        starts = Arrays.copyOf(starts, rows * 2);
        lengths = Arrays.copyOf(lengths, rows * 2);
      }
      starts[rows] = start;
      lengths[rows++] = length;
    }

    void addNull() {
      add(0, -1);
    }

    @Override
    void write(Out out, int[] entry) {
      out.align();
      entry[0] = 4;
      entry[1] = writeInts(out, starts, rows);
      entry[2] = writeInts(out, lengths, rows);
    }

    @Override
    void clear() {
      rows = 0;
    }
  }
}
