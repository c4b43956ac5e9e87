import { describe, expect, test } from "bun:test";
import { createResponseReader, type HttpResponse } from "./http-response.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** What a reader gives for text that comes in pieces of a size. */
function read(text: string, size: number): HttpResponse | undefined {
  const bytes = bytesOf(text);
  const reader = createResponseReader(1000);
  let response: HttpResponse | undefined;
  for (let at = 0; at < bytes.length; at += size) response = reader.push(bytes.slice(at, at + size)) ?? response;
  return response;
}

const bodyOf = (response: HttpResponse | undefined) => new TextDecoder().decode(response?.body);

describe("createResponseReader()", () => {
  const answers = {
    "a declared length": "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nA-Header:  x y \r\n\r\nhello world",
    chunks:
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA-Header: x y\r\n\r\n6\r\nhello \r\n5;ext=1\r\nworld\r\n0\r\n\r\n",
    "a continuation before it":
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\nA-Header: x y\r\n\r\nhello world",
  };
  for (const [name, text] of Object.entries(answers)) {
    test(`reads an answer with ${name}, cut at any place`, () => {
      for (let size = 1; size <= text.length; size += 1) {
        const response = read(text, size);
        expect([response?.status, bodyOf(response), response?.header("a-header")]).toEqual([200, "hello world", "x y"]);
        expect(response?.isKeptAlive).toBe(true);
      }
    });
  }

  test("reads one answer after the other", () => {
    const reader = createResponseReader(1000);
    for (const body of ["one", "three"]) {
      const text = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
      expect(bodyOf(reader.push(bytesOf(text)))).toBe(body);
    }
  });

  test("knows an answer after which the connection closes, and one without a body", () => {
    expect(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", 9)?.isKeptAlive).toBe(false);
    expect(read("HTTP/1.1 204 No Content\r\n\r\n", 9)?.status).toBe(204);
  });

  test("refuses what is not HTTP, what has no end, what is too large, and what comes after the answer", () => {
    expect(() => read("SSH-2.0\r\n\r\n", 100)).toThrow("not HTTP/1.1");
    expect(() => read("HTTP/1.1 200 OK\r\n\r\nhalf", 100)).toThrow("neither a length nor chunks");
    expect(() => read("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", 100)).toThrow("1001 bytes");
    expect(() => read("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n", 100)).toThrow("more than 1000");
    expect(() => read("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 100)).toThrow("no size");
    expect(() => read("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", 100)).toThrow("after the answer");
    expect(() => read(`HTTP/1.1 200 OK\r\n${"x".repeat(70_000)}`, 100_000)).toThrow("head is too long");
  });
});
