import type { IncomingHttpHeaders } from 'node:http';

/**
 * Takes `aws-chunked` framing off a body: `size[;chunk-signature=…]\r\n data \r\n` until size 0, then trailers.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 */
export function payloadOf(raw: Buffer, headers: IncomingHttpHeaders): { body: Buffer; trailers: Record<string, string> } {
  if (!/\baws-chunked\b/.test(headers['content-encoding'] ?? '') && !headers['x-amz-decoded-content-length'])
    return { body: raw, trailers: {} };
  const pieces: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = raw.indexOf('\r\n', at);
    if (end < 0) break;
    const size = Number.parseInt(raw.toString('latin1', at, end), 16);
    at = end + 2;
    if (!(size > 0)) break;
    pieces.push(raw.subarray(at, at + size));
    at += size + 2;
  }
  const trailers: Record<string, string> = {};
  for (const line of raw.toString('latin1', at).split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) trailers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { body: Buffer.concat(pieces), trailers };
}
