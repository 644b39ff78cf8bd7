package millrace.jdbc;

import java.sql.BatchUpdateException;
import java.sql.SQLException;

/** An error as the other end wants to have it: what kind it is, SQLSTATE, the vendor's code, the message, and where it was. */
final class Failure {
  private Failure() {}

  static Out of(Throwable error) {
    String column = null;
    long row = -1;
    if (error instanceof AtValue) {
      column = ((AtValue) error).column;
      row = ((AtValue) error).row;
      error = error.getCause();
    }
    Out out = new Out().text(kindOf(error));
    SQLException sql = sqlOf(error);
    out.text(sql == null ? null : sql.getSQLState());
    out.int32(sql == null ? 0 : sql.getErrorCode());
    return out.text(messageOf(sql == null ? error : sql)).text(column).text(Long.toString(row));
  }

  private static String kindOf(Throwable error) {
    if (error instanceof Drivers.NoDriver) return "driver";
    if (error instanceof Failure.BadValue) return "value";
    if (error instanceof SQLException) return "sql";
    if (error instanceof ClassNotFoundException || error instanceof LinkageError) return "class";
    if (error instanceof OutOfMemoryError) return "memory";
    return "java";
  }

  /** Of a batch the error of its statement, which says more; of an error around others the one that has a state. */
  static SQLException sqlOf(Throwable error) {
    SQLException found = null;
    for (Throwable at = error; at != null && at != at.getCause(); at = at.getCause()) {
      if (!(at instanceof SQLException)) continue;
      SQLException sql = (SQLException) at;
      if (sql instanceof BatchUpdateException && sql.getNextException() != null) sql = sql.getNextException();
      if (found == null || found.getSQLState() == null && sql.getSQLState() != null) found = sql;
    }
    return found;
  }

  static String messageOf(Throwable error) {
    String message = error.getMessage();
    Throwable cause = error.getCause();
    if ((error instanceof SQLException || error instanceof BadValue) && message != null) return message;
    String text = error.getClass().getName() + (message == null ? "" : ": " + message);
    return cause == null || cause == error ? text : text + " (" + messageOf(cause) + ")";
  }

  /** A value that cannot be carried as it is. */
  static final class BadValue extends Exception {
    private static final long serialVersionUID = 1L;

    BadValue(String message) {
      super(message);
    }
  }

  /** An error at a value of the rows. */
  static final class AtValue extends Exception {
    private static final long serialVersionUID = 1L;
    final String column;
    final long row;

    AtValue(String column, long row, Throwable cause) {
      super(cause);
      this.column = column;
      this.row = row;
    }
  }
}
