package millrace.jdbc;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.ByteBuffer;
import java.sql.Blob;
import java.sql.Clob;
import java.sql.Date;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Time;
import java.sql.Timestamp;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.ZoneOffset;

/** How the values of one column are asked for, and in which form they are sent on. */
abstract class Column {
  // The kinds of {@code src/jdbc/protocol.ts}.
  static final int INT = 1;
  static final int LONG = 2;
  static final int DOUBLE = 3;
  static final int FLOAT = 4;
  static final int BOOL = 5;
  static final int TEXT = 6;
  static final int DECIMAL = 7;
  static final int DATE = 8;
  static final int TIME = 9;
  static final int TIMETZ = 10;
  static final int STAMP = 11;
  static final int STAMPTZ = 12;
  static final int BYTES = 13;
  static final int UUID = 14;
  static final int HEX = 15;
  static final int WHOLE = 16;
  static final int PRINTED_STAMP = 17;
  static final int PRINTED_STAMPTZ = 18;
  static final int PRINTED_DATE = 19;
  static final int PRINTED_TIME = 20;
  static final int REAL = 21;

  final int index;

  Column(int index) {
    this.index = index;
  }

  abstract Cells cells();

  abstract void read(ResultSet results, RowsOut to) throws Exception;

  /** {@code digits}: of a decimal its scale (-1: as it comes), of a time the most decimals that its seconds may have, of a text its least length. */
  static Column of(int kind, int digits, int index) {
    switch (kind) {
      case INT:
        return new Ints(index);
      case LONG:
        return new Longs(index, false);
      case WHOLE:
        return new Longs(index, true);
      case DOUBLE:
      case FLOAT:
      case REAL:
        return new Doubles(index, kind);
      case BYTES:
      case HEX:
        return new Bytes(index, kind == HEX);
      case BOOL:
        return new Bools(index);
      case TEXT:
        return new Texts(index, Math.max(digits, 0));
      case UUID:
        return new Uuids(index);
      case DECIMAL:
        return new Decimals(index, digits);
      default:
        return new Moments(index, kind, digits);
    }
  }

  private static final class Ints extends Column {
    private final Cells.Ints cells = new Cells.Ints();

    Ints(int index) {
      super(index);
    }

    @Override
    Cells cells() {
      return cells;
    }

    @Override
    void read(ResultSet results, RowsOut to) throws SQLException {
      int value = results.getInt(index);
      cells.add(value, value == 0 && results.wasNull());
    }
  }

  private static final class Longs extends Column {
    private final Cells.Longs cells = new Cells.Longs();
    /** Of a database whose columns hold values of any type: what is no whole number must not become one. */
    private final boolean strict;

    Longs(int index, boolean strict) {
      super(index);
      this.strict = strict;
    }

    @Override
    Cells cells() {
      return cells;
    }

    @Override
    void read(ResultSet results, RowsOut to) throws Exception {
      if (strict) {
        Object value = results.getObject(index);
        if (value != null && !(value instanceof Long || value instanceof Integer || value instanceof Short))
          throw new Failure.BadValue("\"" + value + "\" is no whole number");
        cells.add(value == null ? 0 : ((Number) value).longValue(), value == null);
        return;
      }
      long value = results.getLong(index);
      cells.add(value, value == 0 && results.wasNull());
    }
  }

  private static final class Doubles extends Column {
    private final Cells.Doubles cells = new Cells.Doubles();
    private final int kind;

    Doubles(int index, int kind) {
      super(index);
      this.kind = kind;
    }

    @Override
    Cells cells() {
      return cells;
    }

    @Override
    void read(ResultSet results, RowsOut to) throws Exception {
      if (kind == REAL) {
        Object object = results.getObject(index);
        if (object != null && !(object instanceof Number)) throw new Failure.BadValue("\"" + object + "\" is no number");
        cells.add(object == null ? 0 : ((Number) object).doubleValue(), object == null);
        return;
      }
      double value = kind == FLOAT ? results.getFloat(index) : results.getDouble(index);
      cells.add(value, value == 0 && results.wasNull());
    }
  }

  /** Columns whose values are bytes on the wire: text, or bytes as they are. */
  private abstract static class Printed extends Column {
    final Cells.Places cells = new Cells.Places();

    Printed(int index) {
      super(index);
    }

    @Override
    Cells cells() {
      return cells;
    }
  }

  private static final class Bools extends Printed {
    Bools(int index) {
      super(index);
    }

    @Override
    void read(ResultSet results, RowsOut to) throws Exception {
      boolean value = results.getBoolean(index);
      if (!value && results.wasNull()) cells.addNull();
      else to.text(cells, value ? "t" : "f");
    }
  }

  private static final class Texts extends Printed {
    /** Of a char(n): some drivers leave its blanks out. */
    private final int width;
    private boolean isClob;

    Texts(int index, int width) {
      super(index);
      this.width = width;
    }

    @Override
    void read(ResultSet results, RowsOut to) throws Exception {
      String value = isClob ? clob(results) : string(results);
      to.text(cells, value == null || width == 0 ? value : padded(value));
    }

    private String padded(String value) {
      int missing = width - value.codePointCount(0, value.length());
      return missing > 0 ? value + " ".repeat(missing) : value;
    }

    private String string(ResultSet results) throws SQLException {
      try {
        return results.getString(index);
      } catch (SQLException refused) {
        String text;
        try {
          text = clob(results);
        } catch (SQLException | RuntimeException neither) {
          throw refused;
        }
        isClob = true;
        return text;
      }
    }

    private String clob(ResultSet results) throws SQLException {
      Clob clob = results.getClob(index);
      return clob == null ? null : clob.getSubString(1, Math.toIntExact(clob.length()));
    }
  }

  private static final class Uuids extends Printed {
    Uuids(int index) {
      super(index);
    }

    @Override
    void read(ResultSet results, RowsOut to) throws Exception {
      Object value = results.getObject(index);
      if (value instanceof byte[]) {
        byte[] bytes = (byte[]) value;
        if (bytes.length != 16) throw new Failure.BadValue("a UUID of " + bytes.length + " bytes");
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        value = new java.util.UUID(buffer.getLong(), buffer.getLong());
      }
      if (value == null) cells.addNull();
      else to.text(cells, value instanceof java.util.UUID ? value.toString() : canonical(results.getString(index)));
    }

    private static String canonical(String text) throws Failure.BadValue {
      String hex = text.replace("-", "").replace("{", "").replace("}", "").trim().toLowerCase(java.util.Locale.ROOT);
      if (!hex.matches("[0-9a-f]{32}")) throw new Failure.BadValue("\"" + text + "\" is no UUID");
      return hex.substring(0, 8) + "-" + hex.substring(8, 12) + "-" + hex.substring(12, 16) + "-" + hex.substring(16, 20) + "-" + hex.substring(20);
    }
  }

  private static final class Bytes extends Printed {
    private static final char[] DIGITS = "0123456789abcdef".toCharArray();
    private final boolean hex;
    private boolean isBlob;

    Bytes(int index, boolean hex) {
      super(index);
      this.hex = hex;
    }

    @Override
    void read(ResultSet results, RowsOut to) throws Exception {
      byte[] value = isBlob ? blob(results) : bytes(results);
      if (value == null) cells.addNull();
      else if (!hex) to.bytes(cells, value);
      else {
        StringBuilder text = new StringBuilder(2 + 2 * value.length).append("\\x");
        for (byte one : value) text.append(DIGITS[(one >> 4) & 15]).append(DIGITS[one & 15]);
        to.text(cells, text);
      }
    }

    private byte[] bytes(ResultSet results) throws SQLException {
      try {
        return results.getBytes(index);
      } catch (SQLException refused) {
        byte[] bytes;
        try {
          bytes = blob(results);
        } catch (SQLException | RuntimeException neither) {
          throw refused;
        }
        isBlob = true;
        return bytes;
      }
    }

    private byte[] blob(ResultSet results) throws SQLException {
      Blob blob = results.getBlob(index);
      return blob == null ? null : blob.getBytes(1, Math.toIntExact(blob.length()));
    }
  }

  private static final class Decimals extends Printed {
    /** Digits on either side of the point: more than Postgres has, and few enough that a power of a thousand digits is not written out. */
    private static final int MOST_DIGITS = 131_072;
    private final int scale;

    Decimals(int index, int scale) {
      super(index);
      this.scale = scale;
    }

    @Override
    void read(ResultSet results, RowsOut to) throws Exception {
      BigDecimal value = results.getBigDecimal(index);
      if (value == null) {
        cells.addNull();
        return;
      }
      if (Math.abs((long) value.scale()) > MOST_DIGITS || value.precision() - (long) value.scale() > MOST_DIGITS)
        throw new Failure.BadValue("a number with the exponent " + -(long) value.scale() + " has too many digits");
      to.text(cells, scaled(value).toPlainString());
    }

    private BigDecimal scaled(BigDecimal value) throws Failure.BadValue {
      if (scale < 0 || value.scale() == scale) return value;
      try {
        return value.setScale(scale, RoundingMode.UNNECESSARY);
      } catch (ArithmeticException lossy) {
        throw new Failure.BadValue(value.toPlainString() + " has more than " + scale + " decimals");
      }
    }
  }

  /** Dates and times, through java.time where the driver knows it and through java.sql where not: in this program every day has all its hours. */
  private static final class Moments extends Printed {
    private final int kind;
    private final int unit;
    private final int digits;
    private final StringBuilder text = new StringBuilder(40);
    private boolean old;

    Moments(int index, int kind, int digits) {
      super(index);
      this.kind = kind;
      this.digits = digits;
      int nanos = 1;
      for (int i = digits; i < 9; i++) nanos *= 10;
      this.unit = nanos;
    }

    @Override
    void read(ResultSet results, RowsOut to) throws Exception {
      text.setLength(0);
      if (print(results)) to.text(cells, text);
      else cells.addNull();
    }

    /** False for NULL. */
    private boolean print(ResultSet results) throws Exception {
      switch (kind) {
        case DATE: {
          LocalDate date = date(results);
          if (date == null) return false;
          Times.print(text, date);
          return true;
        }
        case TIME: {
          LocalTime time = time(results);
          if (time == null) return false;
          Times.print(text, fitting(time));
          return true;
        }
        case TIMETZ: {
          OffsetTime time = results.getObject(index, OffsetTime.class);
          if (time == null) return false;
          fitting(time.toLocalTime());
          Times.print(text, time);
          return true;
        }
        case STAMP: {
          LocalDateTime time = stamp(results);
          if (time == null) return false;
          fitting(time.toLocalTime());
          Times.print(text, time, false);
          return true;
        }
        case STAMPTZ: {
          OffsetDateTime time = moment(results);
          if (time == null) return false;
          fitting(time.toLocalTime());
          Times.print(text, time);
          return true;
        }
        default:
          return printed(results.getString(index));
      }
    }

    private LocalTime fitting(LocalTime time) throws Failure.BadValue {
      if (time.getNano() % unit == 0 || time.equals(LocalTime.MAX)) return time;
      throw new Failure.BadValue(time + " has more than " + digits + " decimals of a second");
    }

    private LocalDate date(ResultSet results) throws SQLException {
      if (!old) {
        try {
          return results.getObject(index, LocalDate.class);
        } catch (SQLException | LinkageError | UnsupportedOperationException unknown) {
          old = true;
        }
      }
      Date date = results.getDate(index);
      return date == null ? null : date.toLocalDate();
    }

    private LocalTime time(ResultSet results) throws SQLException {
      if (!old) {
        try {
          return results.getObject(index, LocalTime.class);
        } catch (SQLException | LinkageError | UnsupportedOperationException unknown) {
          old = true;
        }
      }
      Time time = results.getTime(index);
      if (time == null) return null;
      // A java.sql.Time may carry milliseconds that it does not show.
      return time.toLocalTime().withNano((int) Math.floorMod(time.getTime(), 1000L) * 1_000_000);
    }

    private LocalDateTime stamp(ResultSet results) throws SQLException {
      if (!old) {
        try {
          return results.getObject(index, LocalDateTime.class);
        } catch (SQLException | LinkageError | UnsupportedOperationException unknown) {
          old = true;
        }
      }
      Timestamp time = results.getTimestamp(index);
      return time == null ? null : time.toLocalDateTime();
    }

    private OffsetDateTime moment(ResultSet results) throws SQLException {
      if (!old) {
        try {
          return results.getObject(index, OffsetDateTime.class);
        } catch (SQLException | LinkageError | UnsupportedOperationException unknown) {
          old = true;
        }
      }
      Timestamp time = results.getTimestamp(index);
      return time == null ? null : time.toInstant().atOffset(ZoneOffset.UTC);
    }

    /** What the database prints is already in the form that is wanted; zero dates and times of more than a day are not times. */
    private boolean printed(String value) throws Failure.BadValue {
      if (value == null) return false;
      switch (kind) {
        case PRINTED_DATE:
          Times.print(text, Times.date(value));
          return true;
        case PRINTED_TIME:
          Times.print(text, fitting(Times.time(value)));
          return true;
        case PRINTED_STAMP:
        case PRINTED_STAMPTZ:
          LocalDateTime time = Times.stamp(value.replace('T', ' '));
          fitting(time.toLocalTime());
          Times.print(text, time, kind == PRINTED_STAMPTZ);
          return true;
        default:
          throw new IllegalStateException("a column of kind " + kind);
      }
    }
  }
}
