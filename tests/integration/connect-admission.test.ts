import { afterAll, expect, test } from "bun:test";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { addressOf } from "../../cli/service-process.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { CatalogService } from "../../proto/gen/athena/v1/service_pb.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import { GRPCInferenceService } from "../../proto/gen/inference/grpc_service_pb.ts";
import { startCluster } from "../conformance/oip/cluster.ts";
import { newKey } from "./api-key.ts";

const known = newKey();
const narrow = newKey();
const small = newKey();

const cluster = await startCluster(["echo"], {
  admission: {
    apps: [
      { id: "known", services: ["*"], keys: [known.hash] },
      { id: "narrow", services: ["mm*"], keys: [narrow.hash] },
      // A rate that gives nothing back while the test runs.
      { id: "small", services: ["*"], keys: [small.hash], limits: { bytesPerSecond: 1, byteBurst: 2000 } },
    ],
  },
});

afterAll(async () => {
  await cluster.stop();
});

const transports: readonly (readonly [string, Transport])[] = [
  ["Connect", createConnectTransport({ baseUrl: cluster.url, httpVersion: "2" })],
  ["gRPC", createGrpcTransport({ baseUrl: addressOf(cluster.gateway, "grpc") })],
];

const requestOf = (length: number, headers: Record<string, string> = {}) => ({
  service: "echo",
  headers,
  parts: [{ name: "data", type: PartType.TEXT, data: new Uint8Array(length) }],
});
const codeOf = (call: Promise<unknown>): Promise<Code | "OK"> =>
  call.then(
    () => "OK",
    (error) => ConnectError.from(error).code,
  );

test.each(transports)(
  "over %s, calls of every kind and the catalog need a key, health does not",
  async (_, transport) => {
    const client = createClient(InferenceService, transport);
    const catalog = createClient(CatalogService, transport);
    async function* session() {
      yield { message: { case: "open" as const, value: requestOf(1) } };
    }
    for (const [headers, wanted] of [
      [known.headers, "OK"],
      [narrow.headers, Code.PermissionDenied],
      [{}, Code.Unauthenticated],
    ] as const) {
      const options = { headers };
      expect(await codeOf(client.infer(requestOf(1), options))).toBe(wanted);
      expect(await codeOf(Array.fromAsync(client.inferServerStream({ request: requestOf(1) }, options)))).toBe(wanted);
      expect(await codeOf(Array.fromAsync(client.inferStream(session(), options)))).toBe(wanted);
      const isKnown = wanted === Code.Unauthenticated ? wanted : "OK";
      expect(await codeOf(catalog.listServices({}, options))).toBe(isKnown);
    }
    expect(await codeOf(createClient(Health, transport).check({}))).toBe("OK");
    expect(await codeOf(client.infer(requestOf(1, { app_id: "other" }), known))).toBe(Code.PermissionDenied);
  },
);

test.each(transports)(
  "over %s, the catalog tells an app of the services that it may call, and of no others",
  async (_, transport) => {
    const catalog = createClient(CatalogService, transport);
    const listed = async (headers: HeadersInit) =>
      (await catalog.listServices({}, { headers })).services.map(({ id }) => id);
    expect(await listed(known.headers)).toEqual(["echo"]);
    expect(await listed(narrow.headers)).toEqual([]);
    expect(await codeOf(catalog.describeService({ service: "echo" }, known))).toBe("OK");
    for (const service of ["echo", "nobody"]) {
      expect(await codeOf(catalog.describeService({ service }, narrow))).toBe(Code.PermissionDenied);
    }
  },
);

test.each(transports)(
  "over %s, health lists the gateway and the services that an app may call, for apps with a key alone",
  async (_, transport) => {
    const health = createClient(Health, transport);
    const listed = async (headers: HeadersInit) => (await health.list({}, { headers })).statuses;
    const serving = { status: ServingStatus.SERVING };
    expect(await listed(known.headers)).toMatchObject({ "": serving, echo: serving });
    expect(Object.keys(await listed(narrow.headers))).toEqual([""]);
    expect(await codeOf(health.list({}))).toBe(Code.Unauthenticated);
  },
);

test("the Open Inference Protocol lists the models that an app may call, over REST and gRPC, and no others", async () => {
  const grpc = createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: addressOf(cluster.gateway, "grpc") }));
  for (const [{ headers }, wanted] of [
    [known, ["echo"]],
    [narrow, []],
  ] as const) {
    const ask = async (path: string, method: string) =>
      (await fetch(`${cluster.url}${path}`, { method, headers })).json();
    expect(await ask("/v2/models", "GET")).toEqual({ models: wanted });
    expect(await ask("/v2/models/stats", "GET")).toMatchObject({ model_stats: wanted.map((name) => ({ name })) });
    expect(await ask("/v2/repository/index", "POST")).toMatchObject(wanted.map((name) => ({ name })));
    const { models } = await grpc.repositoryIndex({}, { headers });
    expect(models.map(({ name }) => name)).toEqual([...wanted]);
    const { modelStats } = await grpc.modelStatistics({}, { headers });
    expect(modelStats.map(({ name }) => name)).toEqual([...wanted]);
  }
});

test("the Open Inference Protocol tells nothing of a model to an app that may not call it", async () => {
  const grpc = createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: addressOf(cluster.gateway, "grpc") }));
  const statusOf = async (path: string, { headers }: typeof known) =>
    (await fetch(`${cluster.url}/v2/models/echo${path}`, { headers })).status;
  for (const path of ["", "/ready", "/config", "/stats", "/versions/v1"]) {
    expect([path, await statusOf(path, known), await statusOf(path, narrow)]).toEqual([path, 200, 403]);
  }
  const asks = [grpc.modelReady, grpc.modelMetadata, grpc.modelConfig, grpc.modelStatistics];
  for (const ask of asks) {
    expect(await codeOf(ask({ name: "echo" }, { headers: known.headers }))).toBe("OK");
    expect(await codeOf(ask({ name: "echo" }, { headers: narrow.headers }))).toBe(Code.PermissionDenied);
  }
});

test("an app is charged for the data of its messages", async () => {
  const [[, transport] = []] = transports;
  if (transport === undefined) throw new Error("no transport");
  const client = createClient(InferenceService, transport);
  expect(await codeOf(client.infer(requestOf(1500), small))).toBe("OK");
  // The last that something is left for is let in whole, and what follows waits until it is paid for.
  expect(await codeOf(client.infer(requestOf(1500), small))).toBe("OK");
  expect(await codeOf(client.infer(requestOf(1), small))).toBe(Code.ResourceExhausted);
});
