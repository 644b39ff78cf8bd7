package millrace.jdbc;

import java.math.BigDecimal;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;

/** Values that are bound to a statement, by the kinds of {@link Column}. */
final class Parameter {
  /** For a type of the database's own that has no setter: the server makes a value of the text. */
  static final int OTHER = 32;

  private Parameter() {}

  static void set(PreparedStatement statement, int index, int kind, String text) throws SQLException {
    if (text == null) {
      statement.setNull(index, Types.VARCHAR);
      return;
    }
    try {
      switch (kind) {
        case Column.INT:
        case Column.LONG:
          statement.setLong(index, Long.parseLong(text));
          return;
        case Column.DECIMAL:
          statement.setBigDecimal(index, new BigDecimal(text));
          return;
        case Column.DATE:
          date(statement, index, Times.date(text));
          return;
        case Column.STAMP:
          stamp(statement, index, Times.stamp(text));
          return;
        case Column.STAMPTZ:
          moment(statement, index, Times.stamp(text).atOffset(ZoneOffset.UTC));
          return;
        default:
          statement.setString(index, text);
      }
    } catch (Failure.BadValue | NumberFormatException bad) {
      throw new SQLException(bad.getMessage(), "22018", bad);
    }
  }

  /** Drivers that do not know java.time say so: then the older classes do, and in this program every day has all its hours. */
  static void date(PreparedStatement statement, int index, LocalDate value) throws SQLException {
    try {
      statement.setObject(index, value);
    } catch (SQLException | LinkageError | UnsupportedOperationException unknown) {
      statement.setDate(index, Date.valueOf(value));
    }
  }

  static void time(PreparedStatement statement, int index, LocalTime value) throws SQLException {
    try {
      statement.setObject(index, value);
    } catch (SQLException | LinkageError | UnsupportedOperationException unknown) {
      if (value.getNano() != 0) throw unknown;
      statement.setTime(index, Time.valueOf(value));
    }
  }

  static void stamp(PreparedStatement statement, int index, LocalDateTime value) throws SQLException {
    try {
      statement.setObject(index, value);
    } catch (SQLException | LinkageError | UnsupportedOperationException unknown) {
      statement.setTimestamp(index, Timestamp.valueOf(value));
    }
  }

  static void moment(PreparedStatement statement, int index, OffsetDateTime value) throws SQLException {
    try {
      statement.setObject(index, value);
    } catch (SQLException | LinkageError | UnsupportedOperationException unknown) {
      statement.setTimestamp(index, Timestamp.from(value.toInstant()));
    }
  }
}
