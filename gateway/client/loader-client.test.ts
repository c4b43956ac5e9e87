import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import { InferRequestSchema, InferResponseSchema, Status } from "../../proto/gen/athena/v1/inference_pb.ts";
import {
  DescribeServiceRequestSchema,
  DescribeServiceResponseSchema,
  ListServicesResponseSchema,
  ServiceState,
} from "../../proto/gen/athena/v1/service_pb.ts";
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import { createEndpoint } from "../pool/endpoint.ts";
import { createLoaderClient } from "./loader-client.ts";
import { answerBytes, callOptions, errorOf, proto, request, serve, stopLater, stopServers } from "./test-loader.ts";

const folder = mkdtempSync(join(tmpdir(), "loader-client-"));
const client = createLoaderClient();

afterEach(stopServers);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("infer", () => {
  test("sends the request as a Connect unary call and gives back the answer", async () => {
    const endpoint = serve(async (received) => {
      const { pathname } = new URL(received.url);
      expect([received.method, pathname]).toEqual(["POST", "/athena.v1.InferenceService/Infer"]);
      expect(received.headers.get("content-type")).toBe("application/proto");
      expect(received.headers.get("connect-protocol-version")).toBe("1");
      expect(received.headers.get("connect-timeout-ms")).toBe("4321");
      const { sid, parts } = fromBinary(InferRequestSchema, await received.bytes());
      const answer = create(InferResponseSchema, { sid, parts, status: Status.ONCE, service: "echo", version: "v1" });
      return proto(toBinary(InferResponseSchema, answer));
    });
    const answer = await client.infer(endpoint, request, callOptions(4320.5));
    expect(answer).toEqual(
      create(InferResponseSchema, {
        sid: "ase0001",
        parts: request.parts,
        status: Status.ONCE,
        service: "echo",
        version: "v1",
      }),
    );
  });

  test("reaches a loader over a Unix socket", async () => {
    const path = join(folder, "loader.sock");
    stopLater(Bun.serve({ unix: path, fetch: () => proto(answerBytes) }));
    const answer = await client.infer(createEndpoint(`unix:${path}`, 1), request, callOptions());
    expect(answer.service).toBe("echo");
  });

  test("keeps its connection for the next call", async () => {
    const ports = new Set<number>();
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(received, { requestIP }) {
        ports.add(requestIP.call(server, received)?.port ?? 0);
        return proto(answerBytes);
      },
    });
    stopLater(server);
    const endpoint = createEndpoint(`http://127.0.0.1:${server.port}`, 1);
    for (let i = 0; i < 20; i += 1) await client.infer(endpoint, request, callOptions());
    expect(ports.size).toBe(1);
  });

  test("learns the load from answers and errors, and keeps it when one states none", async () => {
    const loads = ["8;6;5;0;0", undefined, "8;6;0;4;250"];
    let call = 0;
    const endpoint = serve(() => {
      const load = loads[call];
      call += 1;
      const headers = load === undefined ? {} : { "athena-load": load };
      return call < 3 ? proto(answerBytes, headers) : Response.json({ code: "unavailable" }, { status: 503, headers });
    });
    await client.infer(endpoint, request, callOptions());
    expect(endpoint.load).toEqual({ total: 8, best: 6, idle: 5, queued: 0, waitMs: 0 });
    await client.infer(endpoint, request, callOptions());
    expect(endpoint.load?.idle).toBe(5);
    await errorOf(client.infer(endpoint, request, callOptions()));
    expect(endpoint.load).toEqual({ total: 8, best: 6, idle: 0, queued: 4, waitMs: 250 });
  });

  test("throws the error that the loader states", async () => {
    const value = Buffer.from(
      toBinary(ErrorDetailSchema, create(ErrorDetailSchema, { reason: "ENGINE_FAILED", engineCode: 7 })),
    ).toString("base64");
    const details = [{ type: "athena.v1.ErrorDetail", value: value.replaceAll("=", "") }];
    const endpoint = serve(() =>
      Response.json({ code: "internal", message: "the engine said no", details }, { status: 500 }),
    );
    const error = await errorOf(client.infer(endpoint, request, callOptions()));
    expect(error).toMatchObject({ reason: "ENGINE_FAILED", engineCode: 7, message: "the engine said no" });
  });

  test("does not follow a redirect", async () => {
    let reached = false;
    const target = serve(() => {
      reached = true;
      return proto(answerBytes);
    });
    const endpoint = serve(() => Response.redirect(target.url, 307));
    const error = await errorOf(client.infer(endpoint, request, callOptions()));
    expect(error.reason).toBe("ENDPOINT_LOST");
    expect(reached).toBe(false);
  });
});

describe("the catalogue and the health of a loader", () => {
  test("describe reads one service's definition, and its endpoint's load", async () => {
    const endpoint = serve(async (received) => {
      expect(new URL(received.url).pathname).toBe("/athena.v1.CatalogService/DescribeService");
      const { service, version } = fromBinary(DescribeServiceRequestSchema, await received.bytes());
      const definition = { id: service, version, once: true };
      const load = { service, slotsTotal: 8, slotsBest: 6, slotsIdle: 5, queueLength: 1, estimatedWaitMs: 20 };
      const answer = create(DescribeServiceResponseSchema, { definition, state: ServiceState.READY, load });
      return proto(toBinary(DescribeServiceResponseSchema, answer));
    });
    const { definition, state } = await client.describe(endpoint, { id: "echo", version: "v2" }, callOptions());
    expect([definition?.id, definition?.version, state]).toEqual(["echo", "v2", ServiceState.READY]);
    expect(endpoint.load).toEqual({ total: 8, best: 6, idle: 5, queued: 1, waitMs: 20 });
  });

  test("listServices reads all of them", async () => {
    const endpoint = serve((received) => {
      expect(new URL(received.url).pathname).toBe("/athena.v1.CatalogService/ListServices");
      const answer = create(ListServicesResponseSchema, { services: [{ id: "a" }, { id: "b" }] });
      return proto(toBinary(ListServicesResponseSchema, answer));
    });
    const { services } = await client.listServices(endpoint, callOptions());
    expect(services.map(({ id }) => id)).toEqual(["a", "b"]);
  });

  test("check resolves only while the service is served", async () => {
    let status = HealthCheckResponse_ServingStatus.SERVING;
    const endpoint = serve(async (received) => {
      expect(new URL(received.url).pathname).toBe("/grpc.health.v1.Health/Check");
      expect(fromBinary(HealthCheckRequestSchema, await received.bytes()).service).toBe("echo");
      return proto(toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status })));
    });
    await client.check(endpoint, "echo", callOptions());
    status = HealthCheckResponse_ServingStatus.NOT_SERVING;
    expect((await errorOf(client.check(endpoint, "echo", callOptions()))).reason).toBe("SERVICE_NOT_READY");
  });
});
