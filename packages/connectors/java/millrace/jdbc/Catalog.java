package millrace.jdbc;

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** What the database says of its tables. */
final class Catalog {
  private static final String[] KINDS = {"TABLE", "VIEW", "BASE TABLE", "MATERIALIZED VIEW", "FOREIGN TABLE", "SYNONYM", "ALIAS", "PARTITIONED TABLE"};

  private Catalog() {}

  /** True where a database has no schemas beneath it, so that a name's first part is the database. */
  static boolean schemaIsCatalog(DatabaseMetaData about) throws SQLException {
    return !about.supportsSchemasInDataManipulation() && about.supportsCatalogsInDataManipulation();
  }

  /**
   * A table or view by the parts of its name: as it is written, else in the letters into which the database folds names. Answers false,
   * or true with catalog, schema, name, kind, columns, primary key and the number of rows that the statistics know (-1: none).
   */
  static Out table(Connection connection, List<String> parts) throws SQLException {
    DatabaseMetaData about = connection.getMetaData();
    String[] found = find(about, parts, connection);
    if (found == null) return new Out().bool(false);
    String name = quoted(about, found, parts.size() > 2);
    Out out = new Out().bool(true);
    for (String part : found) out.text(part);
    out.text(name);
    try (Statement statement = connection.createStatement();
        ResultSet none = statement.executeQuery("SELECT * FROM " + name + " WHERE 1 = 0")) {
      describe(none.getMetaData(), out);
    }
    List<String> key = primaryKey(about, found);
    out.int32(key.size());
    for (String column : key) out.text(column);
    return out.text(Long.toString(rows(about, found)));
  }

  /** The columns of an answer, as its metadata has them. */
  static void describe(ResultSetMetaData columns, Out out) throws SQLException {
    int count = columns.getColumnCount();
    out.int32(count);
    for (int i = 1; i <= count; i++) {
      out.text(columns.getColumnLabel(i)).int32(columns.getColumnType(i)).text(columns.getColumnTypeName(i));
      out.int32(columns.getPrecision(i)).int32(columns.getScale(i)).int32(columns.getColumnDisplaySize(i));
      out.bool(columns.isSigned(i)).int32(columns.isNullable(i)).bool(columns.isAutoIncrement(i));
    }
  }

  /** Schema (or catalog), name and kind of all tables and views that are not the system's own. */
  static Out tables(Connection connection) throws SQLException {
    DatabaseMetaData about = connection.getMetaData();
    boolean byCatalog = schemaIsCatalog(about);
    Out out = new Out();
    try (ResultSet tables = about.getTables(connection.getCatalog(), null, "%", new String[] {"TABLE", "VIEW", "BASE TABLE"})) {
      while (tables.next()) {
        out.int32(1).text(tables.getString(byCatalog ? 1 : 2)).text(tables.getString(3)).text(tables.getString(4));
      }
    }
    return out.int32(0);
  }

  /** Catalog, schema, name, kind. */
  private static String[] find(DatabaseMetaData about, List<String> parts, Connection connection) throws SQLException {
    int count = parts.size();
    String name = parts.get(count - 1);
    boolean byCatalog = schemaIsCatalog(about);
    if (byCatalog && count > 2) return null;
    String above = count > 1 ? parts.get(count - 2) : byCatalog ? connection.getCatalog() : schemaOf(connection);
    String catalog = count > 2 ? parts.get(count - 3) : byCatalog ? above : catalogOf(connection);
    String schema = byCatalog ? null : above;
    if (above != null) {
      String[] found = lookUp(about, catalog, schema, name);
      if (found == null) {
        String folded = count > 2 ? fold(about, catalog) : catalog;
        found = lookUp(about, folded, count > 1 ? fold(about, schema) : schema, fold(about, name));
      }
      if (found != null || count > 1) return found;
    }
    // A synonym, or a table of another schema on the path: the database itself must know it by this name.
    for (String written : List.of(name, fold(about, name))) {
      if (!resolves(connection, quote(about, written))) continue;
      String[] found = lookUp(about, catalog, null, written);
      if (found != null) return found;
    }
    return null;
  }

  private static boolean resolves(Connection connection, String name) {
    try (Statement statement = connection.createStatement();
        ResultSet none = statement.executeQuery("SELECT * FROM " + name + " WHERE 1 = 0")) {
      return none != null;
    } catch (SQLException unknown) {
      return false;
    }
  }

  private static String schemaOf(Connection connection) {
    try {
      return connection.getSchema();
    } catch (SQLException | LinkageError old) {
      return null;
    }
  }

  private static String catalogOf(Connection connection) {
    try {
      return connection.getCatalog();
    } catch (SQLException none) {
      return null;
    }
  }

  private static String fold(DatabaseMetaData about, String name) throws SQLException {
    if (name == null) return null;
    if (about.storesUpperCaseIdentifiers()) return name.toUpperCase(Locale.ROOT);
    return about.storesLowerCaseIdentifiers() ? name.toLowerCase(Locale.ROOT) : name;
  }

  private static String[] lookUp(DatabaseMetaData about, String catalog, String schema, String name) throws SQLException {
    String[] found = lookUp(about, catalog, schema, name, schema, name);
    String escape = about.getSearchStringEscape();
    if (found != null || escape == null || escape.isEmpty()) return found;
    if (!name.contains(escape) && (schema == null || !schema.contains(escape))) return null;
    String literally = escape + escape;
    return lookUp(about, catalog, schema, name, schema == null ? null : schema.replace(escape, literally), name.replace(escape, literally));
  }

  /** Names are patterns to most drivers: what they answer is compared once more. */
  private static String[] lookUp(DatabaseMetaData about, String catalog, String schema, String name, String schemas, String names)
      throws SQLException {
    String[] found = null;
    try (ResultSet tables = about.getTables(catalog, schemas, names, null)) {
      while (tables.next()) {
        String kind = tables.getString(4);
        if (!name.equals(tables.getString(3)) || kind == null || !isTable(kind)) continue;
        String[] one = new String[] {tables.getString(1), tables.getString(2), name, kind};
        if (schema != null && one[1] != null && !schema.equals(one[1])) continue;
        if (found != null && schema == null && !Objects.equals(found[1], one[1])) throw ambiguous(found, one);
        if (found == null) found = one;
      }
    }
    return found;
  }

  /** Which of several tables of a name is meant only the database knows, and no driver tells it. */
  private static SQLException ambiguous(String[] one, String[] other) {
    return new SQLException(
        "\"" + one[2] + "\" is in the schemas \"" + one[1] + "\" and \"" + other[1] + "\": write which one is meant", "42S02");
  }

  private static boolean isTable(String kind) {
    for (String known : KINDS) if (known.equalsIgnoreCase(kind)) return true;
    return kind.toUpperCase(Locale.ROOT).endsWith("TABLE");
  }

  /** With the catalog before it where the name was given with one: it may be another than that of the connection. */
  private static String quoted(DatabaseMetaData about, String[] found, boolean withCatalog) throws SQLException {
    boolean byCatalog = schemaIsCatalog(about);
    String above = byCatalog ? found[0] : found[1];
    String name = quote(about, found[2]);
    if (above == null || above.isEmpty()) return name;
    String inSchema = quote(about, above) + "." + name;
    return withCatalog && !byCatalog && found[0] != null && !found[0].isEmpty() ? quote(about, found[0]) + "." + inSchema : inSchema;
  }

  private static String quote(DatabaseMetaData about, String name) throws SQLException {
    String quote = about.getIdentifierQuoteString();
    if (quote == null || quote.isBlank()) return name;
    return quote + name.replace(quote, quote + quote) + quote;
  }

  private static List<String> primaryKey(DatabaseMetaData about, String[] found) {
    Map<Integer, String> columns = new TreeMap<>();
    try (ResultSet keys = about.getPrimaryKeys(found[0], found[1], found[2])) {
      while (keys.next()) columns.put(keys.getInt(5), keys.getString(4));
    } catch (SQLException unknown) {
      return List.of();
    }
    return new ArrayList<>(columns.values());
  }

  private static long rows(DatabaseMetaData about, String[] found) {
    long most = -1;
    try (ResultSet indexes = about.getIndexInfo(found[0], found[1], found[2], false, true)) {
      while (indexes.next()) {
        if (indexes.getShort(7) == DatabaseMetaData.tableIndexStatistic) most = Math.max(most, indexes.getLong(11));
      }
    } catch (SQLException | RuntimeException unknown) {
      return -1;
    }
    return most > 0 ? most : -1;
  }
}
