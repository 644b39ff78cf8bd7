import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Driver;
import java.sql.DriverPropertyInfo;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import java.util.logging.Logger;

/** {@code jdbc:hostile:<how>:<URL of H2>}: H2, but for what a bad driver does. */
public final class HostileDriver implements Driver {
  private static final String PREFIX = "jdbc:hostile:";
  private static int rows;
  private final Driver real = new org.h2.Driver();

  @Override
  public Connection connect(String url, Properties properties) throws SQLException {
    String[] parts = url.substring(PREFIX.length()).split(":", 2);
    String how = parts[0];
    if (how.equals("silent")) hang();
    if (how.equals("prints")) System.err.println("DEBUG " + url + " with " + properties.getProperty("password"));
    Connection connection = real.connect(parts[1], properties);
    if (how.equals("manual")) connection.setAutoCommit(false);
    return (Connection) wrap(connection, Connection.class, how);
  }

  private static Object wrap(Object real, Class<?> as, String how) {
    InvocationHandler handler = (proxy, method, arguments) -> {
      String name = method.getName();
      if (how.equals("norollback") && name.equals("rollback")) throw new SQLException("no rollback today", "58000");
      if (how.equals("stuck") && (name.equals("next") && ++rows > 20_000 || name.equals("abort") || name.equals("cancel"))) hang();
      if (how.equals("garbage") && name.equals("executeQuery")) print();
      if (how.equals("huge") && name.equals("getBigDecimal")) return new BigDecimal("1E+2000000000");
      if (arguments != null && arguments.length > 0 && "HALT".equals(arguments[0])) Runtime.getRuntime().halt(3);
      Object answer = call(real, method, arguments);
      if (answer instanceof ResultSet) return wrap(answer, ResultSet.class, how);
      if (answer instanceof Statement) return wrap(answer, method.getReturnType(), how);
      return answer;
    };
    return Proxy.newProxyInstance(HostileDriver.class.getClassLoader(), new Class<?>[] {as}, handler);
  }

  private static Object call(Object real, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(real, arguments);
    } catch (InvocationTargetException thrown) {
      throw thrown.getCause();
    }
  }

  private static void hang() {
    for (;;) {
      try {
        Thread.sleep(1_000_000);
      } catch (InterruptedException never) {
        // That is the point.
      }
    }
  }

  private static void print() throws Exception {
    try (FileOutputStream out = new FileOutputStream(FileDescriptor.out)) {
      out.write("Copyright (c) of a driver of native code\n".getBytes());
    }
  }

  @Override
  public boolean acceptsURL(String url) {
    return url.startsWith(PREFIX);
  }

  @Override
  public DriverPropertyInfo[] getPropertyInfo(String url, Properties properties) {
    return new DriverPropertyInfo[0];
  }

  @Override
  public int getMajorVersion() {
    return 1;
  }

  @Override
  public int getMinorVersion() {
    return 0;
  }

  @Override
  public boolean jdbcCompliant() {
    return false;
  }

  @Override
  public Logger getParentLogger() {
    return Logger.getGlobal();
  }
}
