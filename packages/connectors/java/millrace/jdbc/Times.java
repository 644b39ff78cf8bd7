package millrace.jdbc;

import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.ZoneOffset;

/** Dates and times as Postgres prints and reads them: ISO, a blank before the time, no zeros at the end of a fraction, UTC as {@code +00}. */
final class Times {
  private Times() {}

  static void print(StringBuilder to, LocalDate date) {
    if (date.equals(LocalDate.MAX)) to.append("infinity");
    else if (date.equals(LocalDate.MIN)) to.append("-infinity");
    else {
      day(to, date);
      era(to, date);
    }
  }

  static void print(StringBuilder to, LocalDateTime time, boolean zoned) {
    if (time.getYear() == LocalDate.MAX.getYear()) to.append("infinity");
    else if (time.getYear() == LocalDate.MIN.getYear()) to.append("-infinity");
    else {
      LocalDate date = time.toLocalDate();
      day(to, date);
      to.append(' ');
      print(to, time.toLocalTime());
      if (zoned) to.append("+00");
      era(to, date);
    }
  }

  static void print(StringBuilder to, OffsetDateTime time) {
    int year = time.getYear();
    boolean infinite = year == LocalDate.MAX.getYear() || year == LocalDate.MIN.getYear();
    print(to, infinite ? time.toLocalDateTime() : time.withOffsetSameInstant(ZoneOffset.UTC).toLocalDateTime(), true);
  }

  static void print(StringBuilder to, LocalTime time) {
    two(to, time.getHour());
    to.append(':');
    two(to, time.getMinute());
    to.append(':');
    two(to, time.getSecond());
    int nanos = time.getNano();
    if (nanos == 0) return;
    int digits = 9;
    while (nanos % 10 == 0) {
      nanos /= 10;
      digits--;
    }
    to.append('.');
    int place = 1;
    for (int i = 1; i < digits; i++) place *= 10;
    for (; place > 0; place /= 10) to.append((char) ('0' + nanos / place % 10));
  }

  static void print(StringBuilder to, OffsetTime time) {
    print(to, time.toLocalTime());
    int offset = time.getOffset().getTotalSeconds();
    to.append(offset < 0 ? '-' : '+');
    int seconds = Math.abs(offset);
    two(to, seconds / 3600);
    if (seconds % 3600 == 0) return;
    to.append(':');
    two(to, seconds / 60 % 60);
    if (seconds % 60 == 0) return;
    to.append(':');
    two(to, seconds % 60);
  }

  private static void day(StringBuilder to, LocalDate date) {
    int year = date.getYear() > 0 ? date.getYear() : 1 - date.getYear();
    if (year < 1000) to.append('0');
    if (year < 100) to.append('0');
    if (year < 10) to.append('0');
    to.append(year).append('-');
    two(to, date.getMonthValue());
    to.append('-');
    two(to, date.getDayOfMonth());
  }

  private static void era(StringBuilder to, LocalDate date) {
    if (date.getYear() <= 0) to.append(" BC");
  }

  private static void two(StringBuilder to, int number) {
    to.append((char) ('0' + number / 10)).append((char) ('0' + number % 10));
  }

  static LocalDate date(String text) throws Failure.BadValue {
    boolean before = text.endsWith(" BC");
    String digits = before ? text.substring(0, text.length() - 3) : text;
    try {
      int month = digits.lastIndexOf('-', digits.length() - 4);
      int year = Integer.parseInt(digits.substring(0, month));
      return LocalDate.of(before ? 1 - year : year, number(digits, month + 1), number(digits, month + 4));
    } catch (RuntimeException cannot) {
      throw new Failure.BadValue("\"" + text + "\" is no date that this database can hold");
    }
  }

  static LocalTime time(String text) throws Failure.BadValue {
    try {
      return clock(text, 0, text.length());
    } catch (RuntimeException cannot) {
      throw new Failure.BadValue("\"" + text + "\" is no time of day that this database can hold");
    }
  }

  /** With {@code +00} behind it, or without. */
  static LocalDateTime stamp(String text) throws Failure.BadValue {
    boolean before = text.endsWith(" BC");
    String rest = before ? text.substring(0, text.length() - 3) : text;
    int blank = rest.indexOf(' ');
    if (blank < 0) throw new Failure.BadValue("\"" + text + "\" is no moment that this database can hold");
    int end = rest.endsWith("+00") ? rest.length() - 3 : rest.length();
    try {
      LocalDate date = date(before ? rest.substring(0, blank) + " BC" : rest.substring(0, blank));
      return LocalDateTime.of(date, clock(rest, blank + 1, end));
    } catch (RuntimeException cannot) {
      throw new Failure.BadValue("\"" + text + "\" is no moment that this database can hold");
    }
  }

  static OffsetTime offsetTime(String text) throws Failure.BadValue {
    try {
      int sign = Math.max(text.lastIndexOf('+'), text.lastIndexOf('-'));
      String offset = text.substring(sign);
      return OffsetTime.of(clock(text, 0, sign), ZoneOffset.of(offset));
    } catch (RuntimeException cannot) {
      throw new Failure.BadValue("\"" + text + "\" is no time of day that this database can hold");
    }
  }

  private static LocalTime clock(String text, int from, int end) {
    int nanos = 0;
    if (end - from > 9) {
      int place = 100_000_000;
      for (int at = from + 9; at < end; at++, place /= 10) nanos += (text.charAt(at) - '0') * place;
    }
    return LocalTime.of(number(text, from), number(text, from + 3), number(text, from + 6), nanos);
  }

  private static int number(String text, int at) {
    int tens = text.charAt(at) - '0';
    int ones = text.charAt(at + 1) - '0';
    if (tens < 0 || tens > 9 || ones < 0 || ones > 9) throw new NumberFormatException(text);
    return tens * 10 + ones;
  }
}
