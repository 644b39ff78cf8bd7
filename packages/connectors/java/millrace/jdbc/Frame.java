package millrace.jdbc;

/**
 * What travels over the pipes in both directions, little-endian: payload length (u32), session (u32), type (u8), three bytes of nothing,
 * payload. {@code src/jdbc/protocol.ts} is the other end, and says what each type means.
 */
final class Frame {
  static final int HEADER = 12;

  // To this program.
  static final int CONNECT = 1;
  static final int QUERY = 2;
  static final int TABLE = 3;
  static final int TABLES = 4;
  static final int READ = 5;
  static final int CREDIT = 6;
  static final int WRITE = 7;
  static final int WRITE_END = 8;
  static final int TRANSACTION = 9;
  static final int CANCEL = 10;
  static final int CLOSE = 11;
  static final int KILL = 12;
  static final int SHUTDOWN = 13;
  static final int COLUMNS = 14;

  // From it.
  static final int DONE = 32;
  static final int ERROR = 33;
  static final int TAKEN = 34;
  static final int CLOSED = 35;

  // Both ways.
  static final int BATCH = 64;

  final int session;
  final int type;
  final byte[] payload;

  Frame(int session, int type, byte[] payload) {
    this.session = session;
    this.type = type;
    this.payload = payload;
  }
}
