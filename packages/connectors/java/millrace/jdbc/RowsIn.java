package millrace.jdbc;

import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.time.ZoneOffset;

/** Batches of rows into an INSERT. The layout of a batch is that of {@link RowsOut}. */
final class RowsIn {
  /** More at once only costs memory at the driver. */
  private static final int MOST = 1_000;

  private final Connection connection;
  private final PreparedStatement insert;
  private final boolean rejects;
  private final int[] kinds;
  private final int[] types;
  private final String[] names;

  RowsIn(Connection connection, In in) throws SQLException {
    this.connection = connection;
    String sql = in.text();
    rejects = in.bool();
    int count = in.int32();
    kinds = new int[count];
    types = new int[count];
    names = new String[count];
    for (int i = 0; i < count; i++) {
      kinds[i] = in.int32();
      types[i] = in.int32();
      names[i] = in.text();
    }
    insert = connection.prepareStatement(sql);
  }

  PreparedStatement statement() {
    return insert;
  }

  void close() throws SQLException {
    insert.close();
  }

  /** Answers with the rows that were refused: place in the batch, SQLSTATE, vendor's code, message. Without a quarantine the first one throws. */
  Out take(byte[] payload) throws Exception {
    Batch batch = new Batch(payload);
    Out refused = new Out();
    for (int from = 0; from < batch.rows; from += MOST) {
      int to = Math.min(batch.rows, from + MOST);
      if (rejects) inserted(batch, from, to, refused);
      else insert(batch, from, to);
    }
    return refused.int32(0);
  }

  private void insert(Batch batch, int from, int to) throws Exception {
    insert.clearBatch();
    for (int row = from; row < to; row++) {
      bind(batch, row);
      insert.addBatch();
    }
    insert.executeBatch();
  }

  /** Where one of the rows is refused they are tried again in halves, so a bad row among many costs few statements. */
  private void inserted(Batch batch, int from, int to, Out refused) throws Exception {
    Savepoint before = connection.setSavepoint();
    try {
      insert(batch, from, to);
    } catch (SQLException | Failure.AtValue error) {
      connection.rollback(before);
      if (!isOfRow(error)) throw error;
      if (to - from > 1) {
        int middle = (from + to) >>> 1;
        inserted(batch, from, middle, refused);
        inserted(batch, middle, to, refused);
        return;
      }
      SQLException sql = Failure.sqlOf(error);
      String column = error instanceof Failure.AtValue ? ((Failure.AtValue) error).column : null;
      Throwable said = error instanceof Failure.AtValue ? error.getCause() : error;
      refused.int32(1).int32(from).text(sql == null ? null : sql.getSQLState()).int32(sql == null ? 0 : sql.getErrorCode());
      refused.text(sql == null ? said.getMessage() : Failure.messageOf(sql)).text(column);
      return;
    }
    try {
      connection.releaseSavepoint(before);
    } catch (SQLException cannot) {
      // Some databases let go of it with the transaction.
    }
  }

  private static boolean isOfRow(Throwable error) {
    if (error instanceof Failure.AtValue && error.getCause() instanceof Failure.BadValue) return true;
    SQLException sql = Failure.sqlOf(error);
    String state = sql == null ? null : sql.getSQLState();
    return state != null && (state.startsWith("22") || state.startsWith("23"));
  }

  private void bind(Batch batch, int row) throws Exception {
    int at = 0;
    try {
      for (; at < kinds.length; at++) {
        if (batch.isNull(at, row)) insert.setNull(at + 1, types[at]);
        else bind(batch, at, row);
      }
    } catch (Failure.BadValue | RuntimeException error) {
      throw new Failure.AtValue(names[at], row, error instanceof RuntimeException ? new Failure.BadValue(Failure.messageOf(error)) : error);
    }
  }

  private void bind(Batch batch, int at, int row) throws Exception {
    int index = at + 1;
    switch (kinds[at]) {
      case Column.INT:
        insert.setInt(index, batch.int32(at, row));
        return;
      case Column.LONG:
        insert.setLong(index, batch.int64(at, row));
        return;
      case Column.DOUBLE:
        insert.setDouble(index, batch.float64(at, row));
        return;
      case Column.FLOAT:
        insert.setFloat(index, (float) batch.float64(at, row));
        return;
      case Column.BOOL:
        insert.setBoolean(index, batch.text(at, row).charAt(0) == 't');
        return;
      case Column.DECIMAL:
        insert.setBigDecimal(index, decimal(batch.text(at, row)));
        return;
      case Column.DATE:
        Parameter.date(insert, index, Times.date(batch.text(at, row)));
        return;
      case Column.TIME:
        Parameter.time(insert, index, Times.time(batch.text(at, row)));
        return;
      case Column.TIMETZ:
        insert.setObject(index, Times.offsetTime(batch.text(at, row)));
        return;
      case Column.STAMP:
        Parameter.stamp(insert, index, Times.stamp(batch.text(at, row)));
        return;
      case Column.STAMPTZ:
        Parameter.moment(insert, index, Times.stamp(batch.text(at, row)).atOffset(ZoneOffset.UTC));
        return;
      case Column.BYTES:
        insert.setBytes(index, batch.bytes(at, row));
        return;
      case Column.UUID:
        insert.setObject(index, java.util.UUID.fromString(batch.text(at, row)));
        return;
      case Parameter.OTHER:
        insert.setObject(index, batch.text(at, row), java.sql.Types.OTHER);
        return;
      default:
        insert.setString(index, batch.text(at, row));
    }
  }

  private static BigDecimal decimal(String text) throws Failure.BadValue {
    try {
      return new BigDecimal(text);
    } catch (NumberFormatException none) {
      throw new Failure.BadValue("\"" + text + "\" is no number that this database can hold");
    }
  }

  /** A batch as it came. */
  private static final class Batch {
    private final byte[] payload;
    private final int[] forms;
    private final int[] first;
    private final int[] second;
    final int rows;

    Batch(byte[] payload) {
      this.payload = payload;
      rows = at(0);
      int columns = at(4);
      int directory = at(8);
      forms = new int[columns];
      first = new int[columns];
      second = new int[columns];
      for (int i = 0; i < columns; i++) {
        forms[i] = at(directory + 16 * i);
        first[i] = at(directory + 16 * i + 4);
        second[i] = at(directory + 16 * i + 8);
      }
    }

    private int at(int place) {
      return (int) In.INT.get(payload, place);
    }

    boolean isNull(int column, int row) {
      if (forms[column] == 4) return at(second[column] + 4 * row) < 0;
      int validity = second[column];
      return validity != 0 && (payload[validity + (row >> 3)] & 1 << (row & 7)) == 0;
    }

    int int32(int column, int row) {
      return at(first[column] + 4 * row);
    }

    long int64(int column, int row) {
      return (long) In.LONG.get(payload, first[column] + 8 * row);
    }

    double float64(int column, int row) {
      return (double) In.DOUBLE.get(payload, first[column] + 8 * row);
    }

    String text(int column, int row) {
      return new String(payload, at(first[column] + 4 * row), at(second[column] + 4 * row), StandardCharsets.UTF_8);
    }

    byte[] bytes(int column, int row) {
      int start = at(first[column] + 4 * row);
      return java.util.Arrays.copyOfRange(payload, start, start + at(second[column] + 4 * row));
    }
  }
}
