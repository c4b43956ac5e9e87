import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import { InferenceService, InferRequestSchema, Status } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { CatalogService, ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import { announceHeader } from "../../proto/metadata.ts";
import { echoEnvelope, echoedText, post, startGateway, startLoader, urlOf } from "./cluster.ts";

let loader: ServiceProcess;
let url: string;

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  await waitUntilReady(loader, ["echo"]);
  url = urlOf(loader);
});

afterAll(async () => {
  await loader.stop();
});

const text = new TextEncoder();
const partOf = (data: string, attributes: Record<string, string> = {}) => ({
  name: "data",
  type: PartType.TEXT,
  attributes,
  data: text.encode(data),
});

for (const httpVersion of ["1.1", "2"] as const) {
  describe(`a stock Connect client over HTTP/${httpVersion}`, () => {
    const clientOf = () => createClient(InferenceService, createConnectTransport({ baseUrl: url, httpVersion }));

    test("gets its parts back, with its sid and the load in a header", async () => {
      let load: string | null = null;
      const answer = await clientOf().infer(
        { service: "echo", sid: "my sid", parts: [partOf("hello", { encoding: "utf8" })] },
        { onHeader: (headers) => (load = headers.get("athena-load")) },
      );
      expect(answer).toMatchObject({ sid: "my sid", status: Status.ONCE, service: "echo", version: "v1" });
      expect(answer.parts[0]).toMatchObject({ name: "data", data: text.encode("hello") });
      expect(answer.parts[0]?.attributes).toMatchObject({ seq: "0", status: "3" });
      expect(load).toMatch(/^256;256;\d+;0;0$/);
    });

    test("gets an error with its code, a message that names the field, and the reason as a detail", async () => {
      const error = await clientOf()
        .infer({ service: "echo", parts: [] })
        .then(() => new ConnectError("answered"), ConnectError.from);
      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.rawMessage).toBe("parts: 'data' is required");
      expect(error.findDetails(ErrorDetailSchema)).toMatchObject([{ reason: "SCHEMA_VIOLATION", legacyCode: 10163 }]);
    });

    test("is told that its deadline has passed", async () => {
      const call = clientOf().infer(
        { service: "echo", parameters: { delayMs: "10000" }, parts: [partOf("x")] },
        { timeoutMs: 100 },
      );
      await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    });

    test("reads a server stream", async () => {
      const results: string[] = [];
      for await (const { response } of clientOf().inferServerStream({
        request: { service: "echo", parts: [partOf("s")] },
      })) {
        results.push(`${response?.status} ${new TextDecoder().decode(response?.parts[0]?.data)}`);
      }
      expect(results).toEqual([`${Status.END} s`]);
    });
  });
}

describe("a session over HTTP/2", () => {
  const clientOf = () => createClient(InferenceService, createConnectTransport({ baseUrl: url, httpVersion: "2" }));

  test("answers each chunk before the next one is sent", async () => {
    const turns: PromiseWithResolvers<void>[] = [1, 2, 3].map(() => Promise.withResolvers<void>());
    async function* messages() {
      yield { message: { case: "open" as const, value: create(InferRequestSchema, { service: "echo" }) } };
      for (const [index, turn] of turns.entries()) {
        const status = index === 2 ? "2" : String(Math.min(index, 1));
        yield {
          message: { case: "input" as const, value: { sequence: index + 2, parts: [partOf(`${index}`, { status })] } },
        };
        await turn.promise;
      }
    }
    const seen: string[] = [];
    for await (const { response } of clientOf().inferStream(messages())) {
      seen.push(`${new TextDecoder().decode(response?.parts[0]?.data)} ${response?.parts[0]?.attributes.seq}`);
      turns[seen.length - 1]?.resolve();
    }
    expect(seen).toEqual(["0 1", "1 2", "2 3"]);
  });

  test("tells a caller that asks for it that it has its slot, before it waits for input", async () => {
    const input = Promise.withResolvers<void>();
    async function* messages() {
      yield { message: { case: "open" as const, value: create(InferRequestSchema, { service: "echo" }) } };
      await input.promise;
      yield { message: { case: "input" as const, value: { parts: [partOf("x", { status: "2" })] } } };
    }
    const seen: string[] = [];
    for await (const { response } of clientOf().inferStream(messages(), { headers: { [announceHeader]: "1" } })) {
      seen.push(response === undefined ? "open" : String(Status[response.status]));
      input.resolve();
    }
    expect(seen).toEqual(["open", "END"]);
  });

  test("may be JSON: the stock handler answers what the fast path does not", async () => {
    const transport = createConnectTransport({ baseUrl: url, httpVersion: "2", useBinaryFormat: false });
    async function* messages() {
      const open = create(InferRequestSchema, { service: "echo", parts: [partOf("x", { status: "2" })] });
      yield { message: { case: "open" as const, value: open } };
    }
    const seen: string[] = [];
    for await (const { response } of createClient(InferenceService, transport).inferStream(messages())) {
      seen.push(new TextDecoder().decode(response?.parts[0]?.data));
    }
    expect(seen).toEqual(["x"]);
  });

  test("states its error, and the load in its head, to a stock client", async () => {
    async function* messages() {
      const open = create(InferRequestSchema, {
        service: "echo",
        parameters: { failWith: "error" },
        parts: [partOf("x")],
      });
      yield { message: { case: "open" as const, value: open } };
    }
    let load: string | null = null;
    const results = clientOf().inferStream(messages(), { onHeader: (headers) => (load = headers.get("athena-load")) });
    const error = await results[Symbol.asyncIterator]()
      .next()
      .then(() => new ConnectError("answered"), ConnectError.from);
    expect([error.code, error.rawMessage]).toEqual([Code.Internal, "the engine failed, as asked for"]);
    expect(error.findDetails(ErrorDetailSchema)).toMatchObject([{ reason: "ENGINE_FAILED", legacyCode: 10909 }]);
    expect(load).toMatch(/^256;256;\d+;0;0$/);
  });

  test("that is no stream of messages, or has one that is too large, is refused", async () => {
    const send = async (body: Uint8Array): Promise<unknown> => {
      const answer = await fetch(`${url}/athena.v1.InferenceService/InferStream`, {
        method: "POST",
        headers: { "content-type": "application/connect+proto" },
        body: new Blob([body.slice()]),
      });
      return JSON.parse((await answer.text()).slice(5)).error.code;
    };
    expect(await send(new Uint8Array([9, 9, 9, 9, 9, 9]))).toBe("invalid_argument");
    expect(await send(new Uint8Array([0, 0, 0, 0, 2, 255, 255]))).toBe("invalid_argument");
    expect(await send(new Uint8Array([0, 255, 255, 255, 255, 0]))).toBe("resource_exhausted");
  });

  test("that does not begin with 'open' is refused", async () => {
    async function* messages() {
      yield { message: { case: "input" as const, value: { sequence: 1, parts: [] } } };
    }
    const results = clientOf().inferStream(messages());
    await expect(results[Symbol.asyncIterator]().next()).rejects.toThrow("must be 'open'");
  });
});

describe("the loader", () => {
  test("answers plain curl with Connect JSON", async () => {
    const body = JSON.stringify({ service: "echo", parts: [{ name: "data", type: "PART_TYPE_TEXT", data: "aGk=" }] });
    const path = `${url}/athena.v1.InferenceService/Infer`;
    const curl = Bun.spawnSync(["curl", "-s", "-H", "content-type: application/json", "-d", body, path]);
    expect(JSON.parse(curl.stdout.toString())).toMatchObject({ status: "STATUS_ONCE", parts: [{ data: "aGk=" }] });
  });

  test("describes and lists its services", async () => {
    const catalog = createClient(CatalogService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
    expect((await catalog.listServices({})).services).toMatchObject([{ id: "echo", state: ServiceState.READY }]);
    const { definition, load } = await catalog.describeService({ service: "echo" });
    expect(definition).toMatchObject({ id: "echo", once: true, stream: true });
    expect(load).toMatchObject({ slotsTotal: 256, slotsIdle: 256, queueLength: 0 });
    await expect(catalog.describeService({ service: "x" })).rejects.toMatchObject({ code: Code.NotFound });
  });

  test("says that it serves, in the health-checking protocol", async () => {
    const health = createClient(Health, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
    for (const service of ["", "echo"]) expect((await health.check({ service })).status).toBe(ServingStatus.SERVING);
  });

  test("refuses what is not protobuf, what is too large, and an unknown version, and goes on", async () => {
    const send = (body: BodyInit) =>
      fetch(`${url}/athena.v1.InferenceService/Infer`, {
        method: "POST",
        headers: { "content-type": "application/proto" },
        body,
      });
    const garbage = await send(new Uint8Array([255, 255, 255]));
    expect([garbage.status, (await garbage.json()) as object]).toMatchObject([400, { code: "invalid_argument" }]);
    const large = await send(new Blob([new Uint8Array(70_000_000)]));
    expect([large.status, (await large.json()) as object]).toMatchObject([429, { code: "resource_exhausted" }]);
    const version = create(InferRequestSchema, { service: "echo", version: "v9", parts: [partOf("x")] });
    const unknown = await send(new Blob([new Uint8Array(toBinary(InferRequestSchema, version))]));
    expect([unknown.status, (await unknown.json()) as object]).toMatchObject([404, { code: "not_found" }]);
    const good = create(InferRequestSchema, { service: "echo", parts: [partOf("x")] });
    expect((await send(new Blob([new Uint8Array(toBinary(InferRequestSchema, good))]))).status).toBe(200);
  });
});

test("a gateway reaches a loader through a Unix socket", async () => {
  const folder = await mkdtemp(join(tmpdir(), "athena-socket-"));
  const socket = join(folder, "loader.sock");
  const config = {
    listen: { unix: socket },
    admin: { host: "127.0.0.1", port: 0 },
    services: [join(import.meta.dir, "../../config/services/echo")],
  };
  const near = await startServiceProcess({ main: "loader/main.ts", config: JSON.stringify(config) });
  const gateway = await startGateway([{ id: "echo", endpoints: [`unix:${socket}`] }]);
  try {
    const answer = await post(`${urlOf(gateway)}/echo`, echoEnvelope("through a socket"));
    expect(echoedText(answer.body)).toBe("through a socket");
    const nodeOptions = { createConnection: () => connect(socket) };
    const transport = createConnectTransport({ baseUrl: "http://localhost", httpVersion: "2", nodeOptions });
    async function* messages() {
      const open = create(InferRequestSchema, { service: "echo", parts: [partOf("a session", { status: "2" })] });
      yield { message: { case: "open" as const, value: open } };
    }
    for await (const { response } of createClient(InferenceService, transport).inferStream(messages())) {
      expect(new TextDecoder().decode(response?.parts[0]?.data)).toBe("a session");
    }
    expect.assertions(2);
  } finally {
    await gateway.stop();
    await near.stop();
    await rm(folder, { recursive: true });
  }
});
