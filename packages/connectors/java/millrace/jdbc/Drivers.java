package millrace.jdbc;

import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.sql.Connection;
import java.sql.Driver;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;

/** Drivers by the jars they are in. Each list of jars has a class loader of its own, so two versions of a driver do not meet. */
final class Drivers {
  private final Map<List<String>, ClassLoader> loaders = new HashMap<>();

  Connection connect(List<String> jars, String driverClass, String url, Properties properties) throws Exception {
    ClassLoader loader = loaderOf(jars);
    Thread.currentThread().setContextClassLoader(loader);
    List<String> found = new ArrayList<>();
    for (Driver driver : driversOf(loader, driverClass)) {
      found.add(driver.getClass().getName());
      if (!driver.acceptsURL(url)) continue;
      Connection connection = driver.connect(url, properties);
      if (connection != null) return connection;
    }
    throw new NoDriver(found);
  }

  private synchronized ClassLoader loaderOf(List<String> jars) throws MalformedURLException {
    ClassLoader known = loaders.get(jars);
    if (known != null) return known;
    List<URL> urls = new ArrayList<>();
    for (String jar : jars) urls.add(new File(jar).toURI().toURL());
    ClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
    loaders.put(jars, loader);
    return loader;
  }

  private static List<Driver> driversOf(ClassLoader loader, String driverClass) throws Exception {
    List<Driver> drivers = new ArrayList<>();
    if (driverClass != null) {
      drivers.add((Driver) Class.forName(driverClass, true, loader).getDeclaredConstructor().newInstance());
      return drivers;
    }
    var services = ServiceLoader.load(Driver.class, loader).iterator();
    Throwable broken = null;
    while (true) {
      try {
        if (!services.hasNext()) break;
        drivers.add(services.next());
      } catch (ServiceConfigurationError | LinkageError error) {
        // One jar may bring several drivers, of which some need what is not there.
        broken = error;
      }
    }
    if (drivers.isEmpty() && broken != null) throw new SQLException(broken.getCause() == null ? broken : broken.getCause());
    return drivers;
  }

  /** None of the drivers takes the URL. */
  static final class NoDriver extends Exception {
    private static final long serialVersionUID = 1L;

    NoDriver(List<String> found) {
      super(String.join(", ", found));
    }
  }
}
