package millrace.jdbc;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Speaks JDBC for a parent process: frames of orders come on standard input, frames of answers and rows go to standard output. Each
 * session is one connection with a thread of its own. The end of standard input ends everything.
 */
public final class Main {
  private final FileOutputStream output = new FileOutputStream(FileDescriptor.out);
  private final Map<Integer, Session> sessions = new ConcurrentHashMap<>();
  private final Drivers drivers = new Drivers();

  public static void main(String[] arguments) {
    // Drivers print; standard output is not theirs.
    System.setOut(System.err);
    new Main().run();
  }

  private void run() {
    try (DataInputStream input = new DataInputStream(new FileInputStream(FileDescriptor.in))) {
      byte[] header = new byte[Frame.HEADER];
      for (;;) {
        input.readFully(header);
        byte[] payload = new byte[(int) In.INT.get(header, 0)];
        int session = (int) In.INT.get(header, 4);
        input.readFully(payload);
        if (header[8] == Frame.SHUTDOWN) {
          end(sessions.values(), 5_000);
          return;
        }
        take(new Frame(session, header[8] & 0xff, payload));
      }
    } catch (EOFException parentIsGone) {
      end(sessions.values(), 1_000);
    } catch (IOException broken) {
      Runtime.getRuntime().halt(1);
    }
  }

  /** Never waits: the orders of all sessions come this way. */
  private void take(Frame frame) {
    if (frame.type == Frame.CONNECT) {
      Session session = new Session(frame.session, drivers, this::send, () -> sessions.remove(frame.session));
      sessions.put(frame.session, session);
      session.start();
    }
    Session session = sessions.get(frame.session);
    if (session != null) session.take(frame);
  }

  private void send(int session, int type, Out out) {
    byte[] bytes = out.bytes;
    In.INT.set(bytes, 0, out.at - Frame.HEADER);
    In.INT.set(bytes, 4, session);
    bytes[8] = (byte) type;
    synchronized (output) {
      try {
        output.write(bytes, 0, out.at);
      } catch (IOException parentIsGone) {
        Runtime.getRuntime().halt(0);
      }
    }
  }

  /** Databases that run within this program want their connections closed. */
  private static void end(Iterable<Session> sessions, long patienceMs) {
    Thread watchdog = new Thread(() -> {
      try {
        Thread.sleep(patienceMs);
      } catch (InterruptedException over) {
        return;
      }
      Runtime.getRuntime().halt(0);
    });
    watchdog.setDaemon(true);
    watchdog.start();
    List<Thread> closing = new ArrayList<>();
    for (Session session : sessions) {
      Thread thread = new Thread(session::shut);
      thread.setDaemon(true);
      thread.start();
      closing.add(thread);
    }
    try {
      for (Thread thread : closing) thread.join(patienceMs);
    } catch (InterruptedException over) {
      Thread.currentThread().interrupt();
    }
    System.exit(0);
  }
}
