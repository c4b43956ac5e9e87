import { createServer, type Socket } from "node:net";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { EngineResult } from "../engine.ts";

/** A request as it came over the wire. */
export interface WireRequest {
  readonly method: string;
  readonly path: string;
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** For tests of what a server may do wrong: it answers each request with the very bytes that the test writes. */
export interface WireServer {
  readonly url: string;
  readonly requests: readonly WireRequest[];
  /** Connections that have been closed, by either side. */
  readonly closed: number;
  /** Resolves when so many have. */
  untilClosed(count: number): Promise<void>;
  stop(): void;
}

/** Starts one on a free port. `answer` gets each request when its body is complete. */
export async function startWireServer(answer: (request: WireRequest, socket: Socket) => unknown): Promise<WireServer> {
  const requests: WireRequest[] = [];
  const sockets = new Set<Socket>();
  let closed = 0;
  let onClose: () => void = () => {};
  const server = createServer((socket) => {
    sockets.add(socket);
    let bytes = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, Buffer.from(chunk)]);
      const request = parseRequest(bytes);
      if (request === undefined) return;
      bytes = Buffer.alloc(0);
      requests.push(request);
      void answer(request, socket);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      closed += 1;
      onClose();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    get closed() {
      return closed;
    },
    untilClosed: (count) =>
      new Promise((resolve) => {
        onClose = () => {
          if (closed >= count) resolve();
        };
        onClose();
      }),
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function parseRequest(bytes: Buffer): WireRequest | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd === -1) return undefined;
  const [first = "", ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n");
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const length = Number(headers["content-length"] ?? 0);
  if (bytes.length < headEnd + 4 + length) return undefined;
  const [method = "", path = ""] = first.split(" ");
  return { method, path, headers, body: bytes.toString("utf8", headEnd + 4, headEnd + 4 + length) };
}

/** A whole answer. */
export function httpAnswer(status: number, body: string, headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ "content-length": String(Buffer.byteLength(body)), ...headers });
  return `HTTP/1.1 ${status} Text\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`;
}

/** A signal that never aborts. */
export const never = new AbortController().signal;

/** A request with these parts that expects these outputs. */
export function requestOf(
  parts: readonly Part[],
  expects: Readonly<Record<string, PartType>>,
  parameters: Record<string, string> = {},
): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "served",
    version: "v1",
    sid: "a sid",
    headers: {},
    parameters,
    expects: Object.entries(expects).map(([name, type]) => {
      return { $typeName: "athena.v1.PartDescription", name, type, attributes: {} };
    }),
    parts: [...parts],
    resourceIds: [],
    priority: 0,
  };
}

/** A part of text. */
export function textOf(name: string, text: string): Part {
  const data = new TextEncoder().encode(text);
  return { $typeName: "athena.v1.Part", name, type: PartType.TEXT, attributes: {}, data };
}

/** Results as short texts: the status, and each part's name and data. */
export function shown({ parts, status }: EngineResult): string {
  return [Status[status], ...parts.map(({ name, data }) => `${name}=${new TextDecoder().decode(data)}`)].join(" ");
}
