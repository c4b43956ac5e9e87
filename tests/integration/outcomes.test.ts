import { afterAll, expect, test } from "bun:test";
import { connect } from "node:http2";
import { connect as connectTcp } from "node:net";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { addressOf, type LogLine } from "../../cli/service-process.ts";
import { InferRequestSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { startCluster } from "../conformance/oip/cluster.ts";

const lines: LogLine[] = [];
const cluster = await startCluster(["echo"], { limits: { maxBodyBytes: 100_000 } }, (line) => {
  if (line.name === "access") lines.push(line);
});
const grpcUrl = addressOf(cluster.gateway, "grpc");

afterAll(async () => {
  await cluster.stop();
});

/** How many outcomes of a kind were counted, by the labels of each. */
async function counted(metric: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${addressOf(cluster.gateway, "admin")}/metrics`)).text();
  const found = text.matchAll(new RegExp(`^athena_gateway_${metric}_total\\{(.*)\\} (\\d+)$`, "gm"));
  return new Map([...found].map(([, labels = "", count]) => [labels, Number(count)]));
}

const counters = { request: "requests", session: "sessions", lookup: "lookups" } as const;

async function totals(): Promise<number[]> {
  const counts = await Promise.all(Object.values(counters).map(counted));
  return counts.map((count) => [...count.values()].reduce((sum, one) => sum + one, 0));
}

/** Asks, and gives the one line that the access log has of it; what was counted meanwhile must be that alone. */
async function lineOf(ask: () => Promise<unknown>): Promise<LogLine> {
  const before = await totals();
  lines.length = 0;
  await ask();
  // The test's own limit ends it otherwise.
  while (lines.length === 0) await Bun.sleep(20);
  // Lines are written together, at most 200 ms later: a second one would be there by then.
  await Bun.sleep(300);
  expect(lines).toHaveLength(1);
  const [line = {}] = lines;
  const after = await totals();
  const grown = after.map((count, index) => count - (before[index] ?? 0));
  expect(grown).toEqual(Object.keys(counters).map((kind) => (kind === line.msg ? 1 : 0)));
  expect(line.client).toMatch(/127\.0\.0\.1$/);
  return line;
}

const enveloped = (flags: number, data: Uint8Array, length = data.length): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(5 + data.length);
  bytes[0] = flags;
  new DataView(bytes.buffer).setUint32(1, length);
  bytes.set(data, 5);
  return bytes;
};

interface Answer {
  readonly status: number;
  readonly sid: string | null;
  readonly text: string;
}

async function post(path: string, type: string, body: BodyInit, headers: HeadersInit = {}): Promise<Answer> {
  const init = { method: "POST", headers: { "content-type": type, ...Object.fromEntries(new Headers(headers)) }, body };
  const response = await fetch(cluster.url + path, init);
  return { status: response.status, sid: response.headers.get("athena-sid"), text: await response.text() };
}

/** A call on the gRPC port, of any bytes; gives the headers and trailers of its answer. */
function grpc(
  path: string,
  body: Uint8Array,
  headers: Record<string, string> = {},
  url = grpcUrl,
): Promise<Record<string, unknown>> {
  const session = connect(url);
  return new Promise((resolve, reject) => {
    session.on("error", reject);
    const all: Record<string, unknown> = {};
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    stream.on("response", (head) => Object.assign(all, head));
    stream.on("trailers", (trailers) => Object.assign(all, trailers));
    stream.on("error", reject);
    stream.on("close", () => {
      session.close();
      resolve(all);
    });
    stream.resume();
    stream.end(body);
  });
}

/** Sends text on a connection of its own and waits until the other side closes it. */
function exchange(port: number, text: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, "127.0.0.1", () => socket.write(text));
    socket.resume();
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
}

const service = "/athena.v1.InferenceService";
const large = new Uint8Array(200_000);
const bomb = new Uint8Array(gzipSync(new Uint8Array(10_000_000)));
const garbage = new Uint8Array([0xff, 0xff, 0xff]);
const deep = `{"service":${"[".repeat(5000)}${"]".repeat(5000)}}`;

test.each([
  ["JSON that is none", "application/json", "{", {}, 400, "MALFORMED_ENVELOPE"],
  ["JSON that is too deep", "application/json", deep, {}, 400, "MALFORMED_ENVELOPE"],
  ["bytes that are no message", "application/proto", garbage, {}, 400, "MALFORMED_ENVELOPE"],
  ["a message that is too large", "application/proto", large, {}, 429, "PAYLOAD_TOO_LARGE"],
  ["a decompression bomb", "application/proto", bomb, { "content-encoding": "gzip" }, 429, "PAYLOAD_TOO_LARGE"],
  ["what is not compressed", "application/proto", garbage, { "content-encoding": "gzip" }, 400, "MALFORMED_ENVELOPE"],
  ["an unknown compression", "application/proto", garbage, { "content-encoding": "zip" }, 501, "UNSUPPORTED_OPERATION"],
  ["a deadline that has passed", "application/json", "{}", { "connect-timeout-ms": "0" }, 504, "DEADLINE_EXCEEDED"],
  ["another content type", "text/plain", "x", {}, 415, "UNSUPPORTED_MEDIA_TYPE"],
] as const)("over Connect, a once-call of %s has one outcome", async (_, type, body, headers, status, outcome) => {
  let answer: Answer | undefined;
  const line = await lineOf(async () => {
    answer = await post(`${service}/Infer`, type, body, headers);
  });
  expect(line).toMatchObject({ msg: "request", protocol: "connect", service: "", outcome });
  expect(answer).toMatchObject({ status, sid: String(line.sid) });
  if (status !== 415) expect(answer?.text).toContain("athena.v1.ErrorDetail");
});

test.each([
  ["a message that is none", enveloped(0, garbage), {}, "MALFORMED_ENVELOPE"],
  ["a message that is too large", enveloped(0, new Uint8Array(), 4_000_000_000), {}, "PAYLOAD_TOO_LARGE"],
  ["half a message", enveloped(0, garbage, 10), {}, "MALFORMED_ENVELOPE"],
  ["a decompression bomb", enveloped(1, bomb), { encoding: "gzip" }, "PAYLOAD_TOO_LARGE"],
  ["compression that was not named", enveloped(1, bomb), {}, "MALFORMED_ENVELOPE"],
  ["an unknown compression", enveloped(0, garbage), { encoding: "zip" }, "UNSUPPORTED_OPERATION"],
] as const)(
  "over gRPC-Web and gRPC, %s has one outcome",
  async (_, body, { encoding }: { encoding?: string }, outcome) => {
    const compression = encoding === undefined ? {} : { "grpc-encoding": encoding };
    for (const [method, msg] of [
      ["Infer", "request"],
      ["InferServerStream", "session"],
      ["InferStream", "session"],
    ] as const) {
      const path = `${service}/${method}`;
      const web = await lineOf(() => post(path, "application/grpc-web+proto", body, compression));
      expect(web).toMatchObject({ msg, protocol: "grpc-web", service: "", outcome });
      let answer: Record<string, unknown> = {};
      const line = await lineOf(async () => {
        answer = await grpc(path, body, compression);
      });
      expect(line).toMatchObject({ msg, protocol: "grpc", service: "", outcome });
      expect(answer["athena-sid"]).toBe(line.sid);
      expect(["3", "8", "12"]).toContain(String(answer["grpc-status"]));
      expect(String(answer["grpc-status-details-bin"])).not.toBe("undefined");
    }
  },
  60_000,
);

test("what a service has told of is not told of again", async () => {
  const request = create(InferRequestSchema, { service: "nobody" });
  const bytes = new Uint8Array(toBinary(InferRequestSchema, request));
  const once = await lineOf(() => post(`${service}/Infer`, "application/proto", bytes));
  expect(once).toMatchObject({ msg: "request", protocol: "connect", outcome: "SERVICE_NOT_FOUND" });
  const good =
    '{"service":"echo","headers":{"app_id":"1"},"parts":[{"name":"data","type":"PART_TYPE_TEXT","data":"aGk="}]}';
  const answered = await lineOf(() => post(`${service}/Infer`, "application/json", good));
  expect(answered).toMatchObject({ msg: "request", protocol: "connect", service: "echo", outcome: "OK" });
  const stream = enveloped(0, new TextEncoder().encode(`{"request":${good}}`));
  const session = await lineOf(() => post(`${service}/InferServerStream`, "application/connect+json", stream));
  expect(session).toMatchObject({ msg: "session", protocol: "connect", service: "echo", outcome: "OK" });
  const late = { "connect-timeout-ms": "100" };
  const slow = good.replace("{", '{"parameters":{"delayMs":"5000"},');
  const timedOut = await lineOf(() => post(`${service}/Infer`, "application/json", slow, late));
  expect(timedOut).toMatchObject({ msg: "request", service: "echo", outcome: "DEADLINE_EXCEEDED", status: 504 });
});

test("a request that is not complete by its deadline ends there", async () => {
  const body = new ReadableStream({
    async pull(controller) {
      controller.enqueue(new TextEncoder().encode("{"));
      await Bun.sleep(2000);
      controller.close();
    },
  });
  const late = { "connect-timeout-ms": "100" };
  const line = await lineOf(() => post(`${service}/Infer`, "application/json", body, late).catch(() => {}));
  expect(line).toMatchObject({ msg: "request", outcome: "DEADLINE_EXCEEDED" });
  expect(line.durationMs).toBeLessThan(1500);
});

test("a stream of the Open Inference Protocol whose request cannot be read has one outcome", async () => {
  for (const method of ["ModelInfer", "ModelStreamInfer"]) {
    const line = await lineOf(() => grpc(`/inference.GRPCInferenceService/${method}`, enveloped(0, garbage)));
    expect(line).toMatchObject({ msg: "request", protocol: "grpc", outcome: "MALFORMED_ENVELOPE" });
  }
});

test.each([
  ["/grpc.health.v1.Health/Check", '{"service":"echo"}', "OK"],
  ["/grpc.health.v1.Health/Check", '{"service":"nobody"}', "SERVICE_NOT_FOUND"],
  ["/grpc.health.v1.Health/Check", "{", "MALFORMED_ENVELOPE"],
  ["/athena.v1.CatalogService/ListServices", "{}", "OK"],
] as const)("%s of %s is a lookup", async (path, body, outcome) => {
  const line = await lineOf(() => post(path, "application/json", body));
  expect(line).toMatchObject({ msg: "lookup", protocol: "connect", path, outcome });
});

test.each([
  ["GET", "/v2/models/echo", "lookup", "OK", { path: "/v2/models/:model" }],
  ["GET", "/v2/models/nobody/ready", "lookup", "SERVICE_NOT_FOUND", { path: "/v2/models/:model/ready" }],
  ["POST", "/v2/models/echo", "lookup", "METHOD_NOT_ALLOWED", { path: "/v2/models/:model" }],
  ["GET", "/v2/trace/setting", "lookup", "UNSUPPORTED_OPERATION", { path: "" }],
  ["GET", "/v2/models/echo/infer", "request", "METHOD_NOT_ALLOWED", { service: "" }],
  ["GET", "/openapi.json", "lookup", "OK", { path: "/openapi.json" }],
  ["GET", "/openapi/nobody.json", "lookup", "SERVICE_NOT_FOUND", { path: "/openapi/*" }],
  ["GET", "/nothing", "request", "SERVICE_NOT_FOUND", { service: "" }],
  ["GET", "/echo", "request", "METHOD_NOT_ALLOWED", { service: "echo" }],
] as const)("%s %s is a %s", async (method, path, msg, outcome, more) => {
  const line = await lineOf(async () => (await fetch(cluster.url + path, { method })).text());
  expect(line).toMatchObject({ msg, outcome, ...more });
});

test("a path that the gRPC port has not is a request to no service", async () => {
  const line = await lineOf(() => grpc("/no.Service/Method", enveloped(0, garbage)));
  expect(line).toMatchObject({ msg: "request", protocol: "grpc", outcome: "SERVICE_NOT_FOUND", status: 404 });
});

test("an authority or a path that is no address ends no process", async () => {
  for (const [path, authority, outcome] of [
    [`${service}/Infer`, "a:b:c", "MALFORMED_ENVELOPE"],
    ["//%:bad[", "localhost", "SERVICE_NOT_FOUND"],
  ] as const) {
    const line = await lineOf(() => grpc(path, enveloped(0, garbage), { ":authority": authority }));
    expect(line).toMatchObject({ msg: "request", protocol: "grpc", outcome });
  }
  const { port } = new URL(cluster.url);
  const odd = await lineOf(() =>
    exchange(
      Number(port),
      `POST ${service}/Infer HTTP/1.1\r\nHost: a:b:c\r\nContent-Type: application/json\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{`,
    ),
  );
  expect(odd.outcome).toBe("MALFORMED_ENVELOPE");
});

test.each([
  ["public", cluster.url],
  ["gRPC", grpcUrl],
] as const)("the %s port takes no headers over HTTP/2 that are too many or too large, and goes on", async (_, url) => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, "1"]));
  const path = `${service}/Infer`;
  for (const headers of [many(300), { "x-a": "a".repeat(20_000) }, many(5000), { "x-a": "a".repeat(500_000) }]) {
    const answer = await grpc(path, enveloped(0, garbage), headers, url).catch(() => ({ ":status": "refused" }));
    expect([431, "refused"]).toContain(answer[":status"] as number | string);
  }
  const small = await grpc(path, enveloped(0, garbage), { ...many(100), "x-a": "a".repeat(8000) }, url);
  expect(small[":status"]).toBe(url === grpcUrl ? 200 : 415);
});
