import { afterAll, describe, expect, test } from "bun:test";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { addressOf } from "../../cli/service-process.ts";
import { ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import { InferenceService, type InferStreamResponse, Status } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { CatalogService, ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import { type Cluster, startCluster } from "../conformance/oip/cluster.ts";

const cluster: Cluster = await startCluster(["echo"], { limits: { maxBodyBytes: 1_000_000 } });
const grpcUrl = addressOf(cluster.gateway, "grpc");

afterAll(async () => {
  await cluster.stop();
});

const { url } = cluster;
const transports: readonly (readonly [string, Transport])[] = [
  ["Connect over HTTP/1.1", createConnectTransport({ baseUrl: url, httpVersion: "1.1" })],
  [
    "Connect over HTTP/1.1 in JSON",
    createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false }),
  ],
  ["Connect over HTTP/2", createConnectTransport({ baseUrl: url, httpVersion: "2" })],
  ["gRPC-Web over HTTP/1.1", createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" })],
  ["gRPC-Web over HTTP/2", createGrpcWebTransport({ baseUrl: url, httpVersion: "2" })],
  ["gRPC", createGrpcTransport({ baseUrl: grpcUrl })],
];

const requestOf = (text: string, parameters: Record<string, string> = {}) => ({
  service: "echo",
  headers: { app_id: "123456" },
  parameters,
  parts: [partOf(text)],
});
const partOf = (text: string, attributes: Record<string, string> = {}) => ({
  name: "data",
  type: PartType.TEXT,
  attributes,
  data: new TextEncoder().encode(text),
});
const textOf = (parts: readonly { data: Uint8Array }[] = []): string =>
  parts.map(({ data }) => new TextDecoder().decode(data)).join("");

async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => new ConnectError("answered"),
    (error) => ConnectError.from(error),
  );
}

describe.each(transports)("%s", (name, transport) => {
  const inference: Client<typeof InferenceService> = createClient(InferenceService, transport);

  test("a once-call", async () => {
    let sid: string | null = "";
    const onHeader = (headers: Headers) => {
      sid = headers.get("athena-sid");
    };
    const answer = await inference.infer(requestOf("hello"), { onHeader });
    expect(answer).toMatchObject({ service: "echo", status: Status.ONCE });
    expect(textOf(answer.parts)).toBe("hello");
    expect(answer.sid).toBe(sid ?? "none");
  });

  test("an error has its code, its reason and the request's id", async () => {
    const unknown = await errorOf(inference.infer({ ...requestOf("x"), service: "nobody" }));
    expect([unknown.code, unknown.rawMessage]).toEqual([Code.NotFound, "service 'nobody' not found"]);
    expect(unknown.findDetails(ErrorDetailSchema)).toMatchObject([{ reason: "SERVICE_NOT_FOUND" }]);
    expect(unknown.metadata.get("athena-sid")).toMatch(/^ase/);
    const broken = await errorOf(inference.infer({ ...requestOf("x"), parts: [] }));
    expect([broken.code, broken.rawMessage]).toEqual([
      Code.InvalidArgument,
      expect.stringContaining("'$.payload.data'"),
    ]);
    const large = await errorOf(inference.infer(requestOf("x".repeat(1_100_000))));
    expect(large.code).toBe(Code.ResourceExhausted);
    const version = await errorOf(inference.infer({ ...requestOf("x"), version: "99" }));
    expect(version.rawMessage).toBe("service 'echo' has no version '99'");
    const priority = await errorOf(inference.infer({ ...requestOf("x"), priority: 101 }));
    expect(priority.rawMessage).toContain("'priority' must be from -100 to 100, got 101");
    const resources = await errorOf(inference.infer({ ...requestOf("x"), resourceIds: [7] }));
    expect(resources.code).not.toBe(Code.Unknown);
    expect(resources.rawMessage).toContain("resource");
  });

  test("a deadline that passes, and a caller that leaves", async () => {
    const slow = requestOf("x", { delayMs: "10000" });
    expect((await errorOf(inference.infer(slow, { timeoutMs: 100 }))).code).toBe(Code.DeadlineExceeded);
    const leaving = new AbortController();
    const call = errorOf(inference.infer(slow, { signal: leaving.signal }));
    leaving.abort();
    expect((await call).code).toBe(Code.Canceled);
  });

  test("one request, results as they come", async () => {
    const results = await Array.fromAsync(inference.inferServerStream({ request: requestOf("abc") }));
    expect(textOf(results.flatMap(({ response }) => response?.parts ?? []))).toBe("abc");
    expect(results.at(-1)?.response?.status).toBeGreaterThanOrEqual(Status.END);
    const missing = await errorOf(Array.fromAsync(inference.inferServerStream({})));
    expect([missing.code, missing.rawMessage]).toEqual([Code.InvalidArgument, "'request' is required"]);
  });

  test("a session", async () => {
    async function* messages() {
      yield { message: { case: "open" as const, value: requestOf("a") } };
      yield { message: { case: "input" as const, value: { parts: [partOf("b")] } } };
      yield { message: { case: "input" as const, value: { parts: [partOf("c")] } } };
    }
    const results = await Array.fromAsync(inference.inferStream(messages()));
    expect(textOf(results.flatMap(({ response }) => response?.parts ?? []))).toBe("abc");
    async function* wrong() {
      yield { message: { case: "input" as const, value: { parts: [partOf("b")] } } };
    }
    const error = await errorOf(Array.fromAsync(inference.inferStream(wrong())));
    expect(error.rawMessage).toBe("the first message of a session must be 'open'");
    expect(error.findDetails(ErrorDetailSchema)).toMatchObject([{ reason: "SCHEMA_VIOLATION" }]);
  });

  test("a session's results come while its input goes on", async () => {
    if (name.includes("1.1")) return;
    const more = Promise.withResolvers<void>();
    async function* messages() {
      yield { message: { case: "open" as const, value: requestOf("a") } };
      yield { message: { case: "input" as const, value: { parts: [partOf("b")] } } };
      await more.promise;
      yield { message: { case: "input" as const, value: { parts: [partOf("c")] } } };
    }
    const stream = inference.inferStream(messages())[Symbol.asyncIterator]();
    const first: IteratorResult<InferStreamResponse> = await stream.next();
    expect(textOf(first.value?.response?.parts)).toBe("a");
    more.resolve();
    let rest = "";
    for (let next = await stream.next(); next.done !== true; next = await stream.next()) {
      rest += textOf(next.value.response?.parts);
    }
    expect(rest).toBe("bc");
  });

  test("the catalog, and health", async () => {
    const catalog = createClient(CatalogService, transport);
    expect(await catalog.listServices({})).toMatchObject({
      services: [{ id: "echo", state: ServiceState.READY, reason: "", load: { service: "echo" } }],
    });
    const { definition, load } = await catalog.describeService({ service: "echo" });
    expect(definition?.id).toBe("echo");
    expect(load?.slotsTotal).toBeGreaterThan(0);
    expect((await errorOf(catalog.describeService({ service: "nobody" }))).code).toBe(Code.NotFound);
    expect((await errorOf(catalog.describeService({ service: "echo", version: "99" }))).code).toBe(Code.NotFound);
    const health = createClient(Health, transport);
    expect((await health.check({ service: "echo" })).status).toBe(ServingStatus.SERVING);
    expect((await errorOf(health.check({ service: "nobody" }))).code).toBe(Code.NotFound);
  });
});
