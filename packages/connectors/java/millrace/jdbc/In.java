package millrace.jdbc;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Reads a payload: numbers little-endian, strings as their length in bytes and UTF-8, a length of -1 for null. */
final class In {
  static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  static final VarHandle DOUBLE = MethodHandles.byteArrayViewVarHandle(double[].class, ByteOrder.LITTLE_ENDIAN);

  private final byte[] bytes;
  private int at;

  In(byte[] bytes) {
    this.bytes = bytes;
  }

  int int32() {
    int value = (int) INT.get(bytes, at);
    at += 4;
    return value;
  }

  boolean bool() {
    return int32() != 0;
  }

  String text() {
    int length = int32();
    if (length < 0) return null;
    String text = new String(bytes, at, length, StandardCharsets.UTF_8);
    at += length;
    return text;
  }

  List<String> texts() {
    int count = int32();
    List<String> texts = new ArrayList<>(count);
    for (int i = 0; i < count; i++) texts.add(text());
    return texts;
  }
}
