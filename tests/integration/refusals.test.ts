import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect } from "node:net";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { addressOf } from "../../cli/service-process.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { GRPCInferenceService } from "../../proto/gen/inference/grpc_service_pb.ts";
import { startCluster } from "../conformance/oip/cluster.ts";
import { newKey } from "./api-key.ts";
import { post } from "./cluster.ts";
import { openSocket } from "./websocket-client.ts";

/* Who may not call is told the same in every protocol, and when to come again as well. */

const known = newKey();
const narrow = newKey();
const full = newKey();
const spent = newKey();

const cluster = await startCluster(["echo"], {
  admission: {
    apps: [
      { id: "known", services: ["*"], keys: [known.hash] },
      { id: "narrow", services: ["mm*"], keys: [narrow.hash] },
      // When another place is free nobody can tell.
      { id: "full", services: ["*"], keys: [full.hash], limits: { concurrentCalls: 0, concurrentSessions: 0 } },
      { id: "spent", services: ["*"], keys: [spent.hash], limits: { requestsPerSecond: 0.001, requestBurst: 1 } },
    ],
  },
});
const { url } = cluster;
const grpcUrl = addressOf(cluster.gateway, "grpc");

beforeAll(async () => {
  expect((await post(`${url}/echo`, envelope, spent.headers)).status).toBe(200);
});

afterAll(async () => {
  await cluster.stop();
});

const envelope = { header: { status: 3 }, payload: { data: { text: "aGk=" } } };

/** What a caller is told; `again`: the value of `Retry-After`, undefined where the protocol has no place for it. */
interface Told {
  readonly code: number | string;
  readonly again?: string | null;
}
type Headers = Readonly<Record<string, string>>;
type Ask = (headers: Headers) => Promise<Told>;

const http =
  (path: string, body: object, more: Headers = {}): Ask =>
  async (headers) => {
    const sent = { "content-type": "application/json", ...more, ...headers };
    const response = await fetch(url + path, { method: "POST", headers: sent, body: JSON.stringify(body) });
    await response.text();
    return { code: response.status, again: response.headers.get("retry-after") };
  };

/** The answer's head to the upgrade of a WebSocket. */
const upgrade: Ask = async (headers) => {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const lines = {
    ...{ Host: hostname, Connection: "Upgrade", Upgrade: "websocket" },
    ...{ "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" },
    ...headers,
  };
  const said = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET /echo HTTP/1.1\r\n${said.join("")}\r\n`);
  let head = "";
  while (!head.includes("\r\n\r\n")) head += String((await once(socket, "data"))[0]);
  socket.destroy();
  return {
    code: Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1]),
    again: /^retry-after: (.*)\r$/im.exec(head)?.[1] ?? null,
  };
};

/** The code in the frame that tells of a session's end, or the status of an upgrade that was refused. */
const session =
  (query: string, header: object): Ask =>
  async (headers) => {
    const opened = await upgrade(headers);
    if (opened.code !== 101) return opened;
    const socket = await openSocket(`${url}/echo${query}`, [], headers);
    socket.send({ ...envelope, header: { ...envelope.header, ...header } });
    let frame = await socket.next();
    while (frame.header.code === 0 && frame.payload === undefined) frame = await socket.next();
    socket.close();
    return { code: frame.header.code };
  };

/** Every session of a connection is refused by itself, and the connection goes on. */
const sessions: Ask = async (headers) => {
  const opened = await upgrade(headers);
  if (opened.code !== 101) return opened;
  const socket = await openSocket(`${url}/echo?stream_mode=multiplex`, [], headers);
  const codes: unknown[] = [];
  for (const cid of ["a", "b"]) {
    socket.send({ ...envelope, header: { ...envelope.header, cid } });
    let { header, payload } = await socket.next();
    while (header.code === 0 && payload === undefined) ({ header, payload } = await socket.next());
    expect(header.cid).toBe(cid);
    codes.push(header.code);
  }
  socket.close();
  expect(codes[1]).toBe(codes[0]);
  return { code: Number(codes[0]) };
};

const toldBy = (call: Promise<unknown>): Promise<Told> =>
  call.then(
    () => ({ code: "OK", again: null }),
    (thrown) => {
      const { code, metadata } = ConnectError.from(thrown);
      return { code: Code[code] ?? "", again: metadata.get("retry-after") };
    },
  );

const message = { service: "echo", parts: [{ name: "data", type: PartType.TEXT, data: Uint8Array.of(104) }] };

function rpc(transport: Transport): Readonly<Record<"unary" | "results" | "session", Ask>> {
  const client = createClient(InferenceService, transport);
  async function* input() {
    yield { message: { case: "open" as const, value: message } };
  }
  return {
    unary: (headers) => toldBy(client.infer(message, { headers })),
    results: (headers) => toldBy(Array.fromAsync(client.inferServerStream({ request: message }, { headers }))),
    session: (headers) => toldBy(Array.fromAsync(client.inferStream(input(), { headers }))),
  };
}

const overConnect = rpc(createConnectTransport({ baseUrl: url, httpVersion: "2" }));
const overWeb = rpc(createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" }));
const overGrpc = rpc(createGrpcTransport({ baseUrl: grpcUrl }));

const oip = createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: grpcUrl }));
const tensors = {
  modelName: "echo",
  inputs: [{ name: "data", datatype: "BYTES", shape: [1n] }],
  rawInputContents: [Uint8Array.of(1, 0, 0, 0, 104)],
};
async function* oneRequest() {
  yield tensors;
}
const oipBody = { inputs: [{ name: "data", datatype: "BYTES", shape: [1], data: ["h"] }] };

/** What a caller is told who is let in, is not known, is not allowed, is over a limit. */
type Row = readonly [
  letIn: number | string,
  unknown: number | string,
  denied: number | string,
  limited: number | string,
];
const statuses = [200, 401, 403, 429] as const;
const codes = ["OK", "Unauthenticated", "PermissionDenied", "ResourceExhausted"] as const;
const frames = [0, 401, 10313, 10110] as const;

const protocols: Readonly<Record<string, readonly [Ask, Row]>> = {
  "HTTP in JSON": [http("/echo", envelope), statuses],
  "server-sent events": [http("/echo", envelope, { accept: "text/event-stream" }), statuses],
  "lines of JSON": [http("/echo", envelope, { accept: "application/x-ndjson" }), statuses],
  "a WebSocket": [session("", {}), frames],
  "a WebSocket's many sessions": [sessions, frames],
  "Connect, once": [overConnect.unary, codes],
  "Connect, results": [overConnect.results, codes],
  "Connect, session": [overConnect.session, codes],
  "gRPC-Web, once": [overWeb.unary, codes],
  "gRPC-Web, results": [overWeb.results, codes],
  "gRPC, once": [overGrpc.unary, codes],
  "gRPC, results": [overGrpc.results, codes],
  "gRPC, session": [overGrpc.session, codes],
  "inference protocol, REST": [http("/v2/models/echo/infer", oipBody), statuses],
  "inference protocol, gRPC": [(headers) => toldBy(oip.modelInfer(tensors, { headers })), codes],
  "inference protocol, gRPC stream": [
    (headers) =>
      toldBy(
        Array.fromAsync(oip.modelStreamInfer(oneRequest(), { headers: { ...headers, triton_grpc_error: "true" } })),
      ),
    codes,
  ],
};

describe.each(Object.entries(protocols))("over %s", (_, [ask, [letIn, unknown, denied, limited]]) => {
  const isFrame = limited === frames[3];
  const told = (code: number | string, again: string | null) => (isFrame && code !== 401 ? { code } : { code, again });

  test("a key that holds is let in", async () => {
    expect(await ask(known.headers)).toEqual(told(letIn, null));
  });

  test("no credential, and one that does not hold, is unknown, for good", async () => {
    expect(await ask({})).toEqual(told(unknown, null));
    expect(await ask({ authorization: `Bearer ${known.key.slice(0, -1)}_` })).toEqual(told(unknown, null));
    expect(await ask({ "x-api-key": newKey().key })).toEqual(told(unknown, null));
  });

  test("a service that the app may not call is denied, for good", async () => {
    expect(await ask(narrow.headers)).toEqual(told(denied, null));
  });

  test("an app over its limit is asked to wait: as long as that takes, or a second where nobody knows", async () => {
    expect(await ask(full.headers)).toEqual(told(limited, "1"));
    const over = await ask(spent.headers);
    expect(over).toEqual(told(limited, isFrame ? null : expect.any(String)));
    if (!isFrame) expect(Number(over.again)).toBeWithin(900, 1001);
  });
});
