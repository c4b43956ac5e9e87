import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { addressOf, type LogLine } from "../../../cli/service-process.ts";
import { ErrorDetailSchema } from "../../../proto/gen/athena/v1/error_pb.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../../proto/gen/grpc/health/v1/health_pb.ts";
import { GRPCInferenceService } from "../../../proto/gen/inference/grpc_service_pb.ts";
import { type Cluster, startCluster } from "./cluster.ts";

let cluster: Cluster;
let models: Client<typeof GRPCInferenceService>;
let health: Client<typeof Health>;

beforeAll(async () => {
  cluster = await startCluster(["tensors", "echo"], { limits: { maxBodyBytes: 1_000_000 } });
  const transport = createGrpcTransport({ baseUrl: addressOf(cluster.gateway, "grpc") });
  models = createClient(GRPCInferenceService, transport);
  health = createClient(Health, transport);
});

afterAll(async () => {
  await cluster.stop();
});

const requestOf = (id: string, parameters: Readonly<Record<string, bigint | string>> = {}, modelName = "tensors") => ({
  modelName,
  id,
  inputs: [{ name: "int8", datatype: "INT8", shape: [2n] }],
  rawInputContents: [new Uint8Array([1, 2])],
  parameters: Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => {
      const parameterChoice =
        typeof value === "string" ? { case: "stringParam" as const, value } : { case: "int64Param" as const, value };
      return [name, { parameterChoice }];
    }),
  ),
});

async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => new ConnectError("answered"),
    (error) => ConnectError.from(error),
  );
}

describe("the inference service", () => {
  test("answers raw, with the request's id and the version that answered", async () => {
    expect(await models.modelInfer(requestOf("7"))).toMatchObject({
      modelName: "tensors",
      modelVersion: "1",
      id: "7",
      outputs: [{ name: "int8", datatype: "INT8", shape: [2n] }],
      rawOutputContents: [new Uint8Array([1, 2])],
    });
  });

  test("states an error's code and reason", async () => {
    const unknown = await errorOf(models.modelInfer(requestOf("1", {}, "nobody")));
    expect([unknown.code, unknown.rawMessage]).toEqual([Code.NotFound, "service 'nobody' not found"]);
    const failed = await errorOf(models.modelInfer(requestOf("1", { failWith: "error" })));
    expect(failed.code).toBe(Code.Internal);
    expect(failed.findDetails(ErrorDetailSchema)).toMatchObject([{ reason: "ENGINE_FAILED" }]);
    const broken = await errorOf(models.modelInfer({ ...requestOf("1"), rawInputContents: [new Uint8Array(3)] }));
    expect([broken.code, broken.rawMessage]).toEqual([
      Code.InvalidArgument,
      "inputs.int8: 2 bytes expected for its shape, got 3",
    ]);
    expect((await errorOf(models.repositoryModelUnload({ modelName: "echo" }))).code).toBe(Code.Unimplemented);
    expect((await errorOf(models.modelConfig({ name: "nobody" }))).code).toBe(Code.NotFound);
    expect((await errorOf(models.modelReady({ name: "echo", version: "9" }))).code).toBe(Code.NotFound);
  });

  test("ends a call whose deadline passes, or whose caller leaves, in the engine as well", async () => {
    const slow = requestOf("1", { delayMs: 10_000n });
    expect((await errorOf(models.modelInfer(slow, { timeoutMs: 100 }))).code).toBe(Code.DeadlineExceeded);
    const leaving = new AbortController();
    const call = errorOf(models.modelInfer(slow, { signal: leaving.signal }));
    const idleSlots = async () => {
      const text = await (await fetch(`${addressOf(cluster.loader, "admin")}/metrics`)).text();
      return /athena_loader_slots_idle\{service="tensors"\} (\d+)/.exec(text)?.[1];
    };
    while ((await idleSlots()) !== "255") await Bun.sleep(5);
    leaving.abort();
    expect((await call).code).toBe(Code.Canceled);
    while ((await idleSlots()) !== "256") await Bun.sleep(5);
  });

  test("refuses a message that is larger than allowed and goes on", async () => {
    const large = { ...requestOf("1"), rawInputContents: [new Uint8Array(1_100_000)] };
    expect((await errorOf(models.modelInfer(large))).code).toBe(Code.ResourceExhausted);
    expect((await models.modelInfer(requestOf("2"))).id).toBe("2");
  });

  test("ends a stream with the first error's own code where its caller wants that", async () => {
    let answered = Promise.withResolvers<void>();
    async function* requests() {
      answered = Promise.withResolvers();
      yield requestOf("1");
      await answered.promise;
      answered = Promise.withResolvers();
      yield requestOf("2", {}, "nobody");
      await answered.promise;
      yield requestOf("3");
    }
    const ids: (string | undefined)[] = [];
    const read = async (headers: Record<string, string>) => {
      for await (const { inferResponse, errorMessage } of models.modelStreamInfer(requests(), { headers })) {
        ids.push(errorMessage === "" ? inferResponse?.id : `${inferResponse?.id}: ${errorMessage}`);
        answered.resolve();
      }
    };
    await read({});
    expect(ids.splice(0)).toEqual(["1", "2: service 'nobody' not found", "3"]);
    expect((await errorOf(read({ triton_grpc_error: "true" }))).code).toBe(Code.NotFound);
    expect(ids).toEqual(["1"]);
  });
});

test("every inference, over either wire and however it ended, is one line of the access log", async () => {
  const lines: LogLine[] = [];
  const own = await startCluster(["tensors"], {}, (line) => {
    if (line.name === "access") lines.push(line);
  });
  const client = createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: addressOf(own.gateway, "grpc") }));
  const post = (path: string) => fetch(own.url + path, { method: "POST", body: "{" });
  await client.modelInfer(requestOf("1"));
  await errorOf(client.modelInfer(requestOf("1", { failWith: "refusal" })));
  await post("/v2/models/tensors/infer");
  await post("/v2/models/nobody/infer");
  // A page is a line of its own kind.
  await fetch(`${own.url}/v2/models/tensors`);
  await own.stop();
  expect(lines.map(({ msg, service, outcome, status }) => [msg, service, outcome, status])).toEqual([
    ["request", "tensors", "OK", 200],
    ["request", "tensors", "INVALID_INPUT", 400],
    ["request", "tensors", "MALFORMED_ENVELOPE", 400],
    ["request", "", "SERVICE_NOT_FOUND", 404],
    ["lookup", undefined, "OK", 200],
  ]);
  for (const { client: address } of lines) expect(address).toBe("127.0.0.1");
});

test("bytes that are no HTTP/2, or that break off in the middle, trouble no other caller", async () => {
  const { hostname, port } = new URL(addressOf(cluster.gateway, "grpc"));
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const settings = String.fromCharCode(0, 0, 0, 4, 0, 0, 0, 0, 0);
  const openings = [
    "GET / HTTP/1.1\r\n\r\n",
    "\0\xff\xff",
    preface,
    `${preface}${settings}\xff\xff\xff\xff\xff\xff\xff\xff\xff`,
  ];
  for (const opening of openings) {
    const socket = await Bun.connect({ hostname, port: Number(port), socket: { data() {} } });
    socket.write(Buffer.from(opening, "latin1"));
    socket.flush();
    expect((await models.modelInfer(requestOf("after"))).id).toBe("after");
    socket.terminate();
  }
  expect((await models.serverLive({})).live).toBe(true);
});

test("the health-checking protocol knows the gateway and each service", async () => {
  for (const service of ["", "echo"]) expect((await health.check({ service })).status).toBe(ServingStatus.SERVING);
  expect((await errorOf(health.check({ service: "nobody" }))).code).toBe(Code.NotFound);
});

test("a gateway that is asked to stop finishes its gRPC calls and takes no more", async () => {
  const own = await startCluster(["echo"]);
  const transport = createGrpcTransport({ baseUrl: addressOf(own.gateway, "grpc") });
  const client = createClient(GRPCInferenceService, transport);
  const inputs = [{ name: "data", datatype: "BYTES", shape: [1n], contents: { bytesContents: [new Uint8Array([1])] } }];
  const delayMs = { parameterChoice: { case: "int64Param" as const, value: 800n } };
  const slow = client.modelInfer({ modelName: "echo", inputs, parameters: { delayMs } });
  const busy = async () => {
    const text = await (await fetch(`${addressOf(own.loader, "admin")}/metrics`)).text();
    return /athena_loader_slots_idle\{service="echo"\} (\d+)/.exec(text)?.[1] === "255";
  };
  while (!(await busy())) await Bun.sleep(5);
  const stopped = own.gateway.stop();
  expect((await slow).modelName).toBe("echo");
  expect(await stopped).toBe(0);
  expect((await errorOf(client.serverLive({}))).code).toBe(Code.Unavailable);
  await own.loader.stop();
});

test("a gateway whose loader is gone is live, and neither ready nor silent about it", async () => {
  const own = await startCluster(["echo"]);
  await own.loader.stop();
  const client = createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: addressOf(own.gateway, "grpc") }));
  while ((await client.serverReady({})).ready) await Bun.sleep(20);
  expect((await client.serverLive({})).live).toBe(true);
  expect((await client.modelReady({ name: "echo" })).ready).toBe(false);
  expect((await client.repositoryIndex({ ready: true })).models).toEqual([]);
  expect((await client.repositoryIndex({})).models).toMatchObject([
    { name: "echo", version: "v1", state: "UNAVAILABLE", reason: "none of its endpoints can be called" },
  ]);
  const statusOf = async (path: string) => (await fetch(own.url + path)).status;
  expect([await statusOf("/v2/health/live"), await statusOf("/v2/health/ready")]).toEqual([200, 503]);
  expect([await statusOf("/v2/models/echo/ready"), await statusOf("/v2/models/echo")]).toEqual([503, 200]);
  await own.gateway.stop();
});
