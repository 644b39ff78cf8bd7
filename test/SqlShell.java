import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Base64;
import java.util.TimeZone;

/** SQL for tests, by a way that is not the one under test: a statement in Base64 on each line, and its rows, or `!` and the error. */
public class SqlShell {
  public static void main(String[] arguments) throws Exception {
    TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
      System.out.println("ready");
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        String sql = new String(Base64.getDecoder().decode(line), StandardCharsets.UTF_8);
        try (Statement statement = connection.createStatement()) {
          if (statement.execute(sql)) rows(statement.getResultSet());
          System.out.println(".");
        } catch (SQLException error) {
          System.out.println("!" + encoded(error.getSQLState() + " " + error.getMessage()));
        }
      }
    }
  }

  private static void rows(ResultSet rows) throws SQLException {
    int columns = rows.getMetaData().getColumnCount();
    while (rows.next()) {
      StringBuilder line = new StringBuilder("r");
      for (int i = 1; i <= columns; i++) {
        String value = rows.getString(i);
        line.append(' ').append(value == null ? "-" : "=" + encoded(value));
      }
      System.out.println(line);
    }
  }

  private static String encoded(String text) {
    return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
  }
}
