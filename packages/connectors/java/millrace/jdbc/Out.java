package millrace.jdbc;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes a payload behind room for its header: see {@link In} for how values stand in it. */
final class Out {
  byte[] bytes;
  /** Where the next byte goes; the payload begins at {@link Frame#HEADER}. */
  int at = Frame.HEADER;

  Out(int room) {
    bytes = new byte[Frame.HEADER + room];
  }

  Out() {
    this(256);
  }

  void room(int more) {
    if (bytes.length - at >= more) return;
    long wanted = Math.max((long) bytes.length * 2, (long) at + more);
    if ((long) at + more > Integer.MAX_VALUE - 16) throw new OutOfMemoryError("a batch of rows is larger than 2 GiB");
    bytes = Arrays.copyOf(bytes, (int) Math.min(wanted, Integer.MAX_VALUE - 16));
  }

  Out int32(int value) {
    room(4);
    In.INT.set(bytes, at, value);
    at += 4;
    return this;
  }

  Out bool(boolean value) {
    return int32(value ? 1 : 0);
  }

  Out text(String value) {
    if (value == null) return int32(-1);
    byte[] encoded = value.getBytes(StandardCharsets.UTF_8);
    int32(encoded.length);
    room(encoded.length);
    System.arraycopy(encoded, 0, bytes, at, encoded.length);
    at += encoded.length;
    return this;
  }

  /** So that what follows stands at a multiple of eight in the payload. */
  void align() {
    int over = (at - Frame.HEADER) & 7;
    if (over == 0) return;
    room(8 - over);
    for (int i = over; i < 8; i++) bytes[at++] = 0;
  }
}
