package millrace.jdbc;

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;

/**
 * One connection. Its orders are carried out one after another by a thread of its own; {@code CREDIT}, {@code CANCEL} and {@code KILL}
 * take effect at once. An order that fails answers with {@code ERROR}, and the next one is carried out all the same.
 */
final class Session extends Thread {
  interface Sender {
    void send(int session, int type, Out out);
  }

  /** How long a statement may take to heed a cancel before its connection is cut. */
  private static final long CANCEL_PATIENCE_MS = 2_000;

  private final int number;
  private final Drivers drivers;
  private final Sender sender;
  private final Runnable ended;
  private final LinkedBlockingQueue<Frame> orders = new LinkedBlockingQueue<>();
  /** Batches that the other end has room for. Each read has its own. */
  private volatile Semaphore credit = new Semaphore(0);
  private volatile Connection connection;
  private volatile Statement running;
  private volatile boolean cancelled;
  private volatile boolean killed;
  /** How many orders have ended, so the number of the one at work. */
  private int served;
  private final Object turn = new Object();
  private RowsIn writing;
  private boolean writeFailed;

  Session(int number, Drivers drivers, Sender sender, Runnable ended) {
    super("session " + number);
    this.number = number;
    this.drivers = drivers;
    this.sender = sender;
    this.ended = ended;
    setDaemon(true);
  }

  void take(Frame frame) {
    switch (frame.type) {
      case Frame.CREDIT:
        credit.release(new In(frame.payload).int32());
        return;
      case Frame.CANCEL:
        cancel(new In(frame.payload).int32());
        return;
      case Frame.KILL:
        new Thread(this::kill).start();
        return;
      case Frame.READ:
        credit = new Semaphore(new In(frame.payload).int32());
        orders.add(frame);
        return;
      default:
        orders.add(frame);
    }
  }

  @Override
  public void run() {
    try {
      for (;;) {
        Frame frame = orders.take();
        if (frame.type == Frame.CLOSE || killed) break;
        try {
          serve(frame);
        } catch (Throwable error) {
          fail(frame, error);
        }
        synchronized (turn) {
          running = null;
          served++;
          cancelled = false;
        }
      }
    } catch (InterruptedException over) {
      Thread.currentThread().interrupt();
    } finally {
      close();
      ended.run();
      answer(Frame.CLOSED, new Out(0));
    }
  }

  private void serve(Frame frame) throws Exception {
    In in = new In(frame.payload);
    switch (frame.type) {
      case Frame.CONNECT:
        connect(in);
        return;
      case Frame.QUERY:
        query(in);
        return;
      case Frame.COLUMNS:
        columns(in);
        return;
      case Frame.TABLE:
        done(Catalog.table(connection, in.texts()));
        return;
      case Frame.TABLES:
        done(Catalog.tables(connection));
        return;
      case Frame.READ:
        read(in);
        return;
      case Frame.WRITE:
        write(in);
        return;
      case Frame.BATCH:
        if (writeFailed) return;
        running = writing.statement();
        answer(Frame.TAKEN, writing.take(frame.payload));
        return;
      case Frame.WRITE_END:
        endWrite();
        return;
      case Frame.TRANSACTION:
        transaction(in.int32());
        return;
      default:
        throw new IllegalStateException("an order of type " + frame.type);
    }
  }

  private void connect(In in) throws Exception {
    List<String> jars = in.texts();
    String driverClass = in.text();
    String url = in.text();
    Properties properties = new Properties();
    List<String> pairs = in.texts();
    for (int i = 0; i < pairs.size(); i += 2) properties.setProperty(pairs.get(i), pairs.get(i + 1));
    List<String> first = in.texts();
    Connection made = drivers.connect(jars, driverClass, url, properties);
    connection = made;
    if (killed) throw new SQLException("the session was ended", "57014");
    try (Statement statement = made.createStatement()) {
      for (String sql : first) statement.execute(sql);
    }
    // A property of the driver may have said otherwise: what fences a load must not wait for a commit that nobody orders.
    if (!made.getAutoCommit()) made.setAutoCommit(true);
    DatabaseMetaData about = made.getMetaData();
    Out out = new Out();
    out.text(about.getDatabaseProductName()).text(about.getDatabaseProductVersion());
    out.text(about.getDriverName()).text(about.getDriverVersion());
    out.text(about.getIdentifierQuoteString());
    out.text(about.getUserName());
    out.bool(Catalog.schemaIsCatalog(about));
    out.int32(about.getMaxColumnNameLength()).int32(about.getMaxTableNameLength());
    out.int32(about.storesUpperCaseIdentifiers() ? 1 : about.storesLowerCaseIdentifiers() ? 2 : 0);
    done(out);
  }

  /** Small answers: every value as the text that the driver makes of it. */
  private void query(In in) throws SQLException {
    String sql = in.text();
    int parameters = in.int32();
    // Some drivers prepare only what has parameters.
    try (Statement statement = parameters == 0 ? connection.createStatement() : connection.prepareStatement(sql)) {
      running = statement;
      for (int i = 1; i <= parameters; i++) Parameter.set((PreparedStatement) statement, i, in.int32(), in.text());
      boolean rows = parameters == 0 ? statement.execute(sql) : ((PreparedStatement) statement).execute();
      Out out = new Out();
      if (!rows) {
        done(out.int32(statement.getUpdateCount()).int32(0).int32(0));
        return;
      }
      try (ResultSet results = statement.getResultSet()) {
        int columns = results.getMetaData().getColumnCount();
        out.int32(-1).int32(columns);
        ResultSetMetaData names = results.getMetaData();
        for (int i = 1; i <= columns; i++) out.text(names.getColumnLabel(i));
        while (results.next()) {
          out.int32(1);
          for (int i = 1; i <= columns; i++) out.text(results.getString(i));
        }
        done(out.int32(0));
      }
    }
  }

  /** The columns of a query, without its rows. */
  private void columns(In in) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(in.text())) {
      running = statement;
      ResultSetMetaData columns = statement.getMetaData();
      if (columns == null) {
        // A driver that knows them only from the answer.
        statement.setMaxRows(1);
        try (ResultSet results = statement.executeQuery()) {
          Out out = new Out();
          Catalog.describe(results.getMetaData(), out);
          done(out);
        }
        return;
      }
      Out out = new Out();
      Catalog.describe(columns, out);
      done(out);
    }
  }

  private void read(In in) throws Exception {
    in.int32(); // the credit: see take()
    String sql = in.text();
    int fetchSize = in.int32();
    int parameters = in.int32();
    // A cursor at the server, where it has such a thing, lives within a transaction.
    connection.setAutoCommit(false);
    try (PreparedStatement statement =
        connection.prepareStatement(sql, ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY)) {
      running = statement;
      statement.setFetchSize(fetchSize);
      for (int i = 1; i <= parameters; i++) Parameter.set(statement, i, in.int32(), in.text());
      int count = in.int32();
      Column[] columns = new Column[count];
      for (int i = 0; i < count; i++) columns[i] = Column.of(in.int32(), in.int32(), i + 1);
      String[] names = new String[count];
      for (int i = 0; i < count; i++) names[i] = in.text();
      if (cancelled) throw new SQLException("the statement was cancelled", "57014");
      try (ResultSet results = statement.executeQuery()) {
        long rows = new RowsOut(results, columns, names).send(this::next);
        done(new Out().text(Long.toString(rows)));
      }
    } finally {
      running = null;
      if (!connection.isClosed()) {
        connection.rollback();
        connection.setAutoCommit(true);
      }
    }
  }

  /** Hands a batch on as soon as the other end has room for it. */
  private void next(Out batch) throws SQLException, InterruptedException {
    credit.acquire();
    if (cancelled) throw new SQLException("the statement was cancelled", "57014");
    sender.send(number, Frame.BATCH, batch);
  }

  private void write(In in) throws SQLException {
    closeStatement();
    writeFailed = false;
    writing = new RowsIn(connection, in);
    done(new Out(0));
  }

  private void endWrite() {
    closeStatement();
    done(new Out(0));
  }

  private void closeStatement() {
    RowsIn open = writing;
    writing = null;
    try {
      if (open != null) open.close();
    } catch (SQLException gone) {
      // All that it had to do is done, or undone with its transaction.
    }
  }

  private void transaction(int what) throws SQLException {
    switch (what) {
      case 0:
        connection.setAutoCommit(true);
        break;
      case 1:
        connection.setAutoCommit(false);
        break;
      case 2:
        connection.commit();
        break;
      default:
        connection.rollback();
    }
    done(new Out(0));
  }

  private void done(Out out) {
    answer(Frame.DONE, out);
  }

  private void answer(int type, Out out) {
    sender.send(number, type, out);
  }

  private void fail(Frame frame, Throwable error) {
    if (frame.type == Frame.BATCH) writeFailed = true;
    if (frame.type == Frame.WRITE) writing = null;
    answer(Frame.ERROR, Failure.of(error));
    // Java says that it cannot go on after these.
    if (error instanceof VirtualMachineError) Runtime.getRuntime().halt(134);
  }

  /** Cancels the order of this number, unless it has ended. */
  private void cancel(int order) {
    synchronized (turn) {
      if (order != served) return;
      cancelled = true;
    }
    credit.release(1);
    Thread thread = new Thread(() -> {
      Statement statement;
      synchronized (turn) {
        if (order != served) return;
        statement = running;
      }
      try {
        if (statement != null) statement.cancel();
      } catch (SQLException | RuntimeException | LinkageError cannot) {
        // Not every driver can: then its connection is cut.
      }
      try {
        Thread.sleep(CANCEL_PATIENCE_MS);
      } catch (InterruptedException over) {
        return;
      }
      synchronized (turn) {
        if (order != served) return;
      }
      kill();
    });
    thread.setDaemon(true);
    thread.start();
  }

  /** Cuts the connection, whatever it does. */
  void kill() {
    killed = true;
    credit.release(1);
    orders.add(new Frame(number, Frame.CLOSE, new byte[0]));
    Connection open = connection;
    if (open == null) {
      interrupt();
      return;
    }
    try {
      open.abort(Runnable::run);
    } catch (SQLException | RuntimeException | LinkageError cannot) {
      interrupt();
    }
  }

  /** Cancels what runs and closes the connection in an orderly way. */
  void shut() {
    cancelled = true;
    killed = true;
    credit.release(1);
    Statement statement = running;
    try {
      if (statement != null) statement.cancel();
    } catch (SQLException | RuntimeException | LinkageError cannot) {
      // It is closed all the same.
    }
    orders.add(new Frame(number, Frame.CLOSE, new byte[0]));
    try {
      join();
    } catch (InterruptedException over) {
      Thread.currentThread().interrupt();
    }
  }

  private void close() {
    closeStatement();
    Connection open = connection;
    if (open == null) return;
    try {
      if (!open.isClosed()) {
        if (!open.getAutoCommit()) open.rollback();
        open.close();
      }
    } catch (SQLException | RuntimeException gone) {
      // There is nothing left to close.
    }
  }
}
