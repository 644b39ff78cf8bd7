import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;

/** What a program in Java does with a driver and nothing else: asks for every value of every row. Reads a few rows, waits for a line, reads all. */
public class ReadLoop {
  public static void main(String[] arguments) throws Exception {
    try (Connection connection = DriverManager.getConnection(System.getenv("JDBC_URL"))) {
      connection.setAutoCommit(false);
      read(connection, arguments[1]);
      System.out.println("ready");
      System.in.read();
      long started = System.nanoTime();
      long rows = read(connection, arguments[0]);
      System.out.println("{\"seconds\": " + (System.nanoTime() - started) / 1e9 + ", \"rows\": " + rows + "}");
    }
  }

  private static Object last;

  private static long read(Connection connection, String table) throws Exception {
    long rows = 0;
    try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM " + table)) {
      statement.setFetchSize(4096);
      try (ResultSet results = statement.executeQuery()) {
        int columns = results.getMetaData().getColumnCount();
        while (results.next()) {
          for (int i = 1; i <= columns; i++) last = results.getObject(i);
          rows++;
        }
      }
    }
    connection.rollback();
    return rows;
  }
}
