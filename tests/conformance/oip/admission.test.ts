import { afterAll, beforeAll, expect, test } from "bun:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { addressOf } from "../../../cli/service-process.ts";
import { GRPCInferenceService } from "../../../proto/gen/inference/grpc_service_pb.ts";
import { newKey } from "../../integration/api-key.ts";
import { ask, type Cluster, startCluster } from "./cluster.ts";

const known = newKey();
const narrow = newKey();
const small = newKey();

let cluster: Cluster;

beforeAll(async () => {
  const apps = [
    { id: "known", services: ["*"], keys: [known.hash] },
    { id: "narrow", services: ["mm*"], keys: [narrow.hash] },
    // A rate that gives nothing back while the test runs.
    { id: "small", services: ["*"], keys: [small.hash], limits: { bytesPerSecond: 1, byteBurst: 2000 } },
  ];
  cluster = await startCluster(["tensors"], { admission: { apps } });
});

afterAll(async () => {
  await cluster.stop();
});

const body = JSON.stringify({ inputs: [{ name: "int8", datatype: "INT8", shape: [1], data: [1] }] });
const post = (headers: Record<string, string>) =>
  ask(`${cluster.url}/v2/models/tensors/infer`, { method: "POST", headers, body });

const client = () =>
  createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: addressOf(cluster.gateway, "grpc") }));
const call = (headers: Record<string, string>, length = 1): Promise<Code | "OK"> => {
  const inputs = [{ name: "int8", datatype: "INT8", shape: [BigInt(length)] }];
  const request = { modelName: "tensors", inputs, rawInputContents: [new Uint8Array(length)] };
  return client()
    .modelInfer(request, { headers })
    .then(
      () => "OK",
      (error) => ConnectError.from(error).code,
    );
};

test("an app's key lets it call its services, over REST and gRPC alike", async () => {
  expect((await post(known.headers)).status).toBe(200);
  expect((await post(narrow.headers)).status).toBe(403);
  const nobody = await post({});
  expect([nobody.status, nobody.body.error]).toEqual([401, expect.any(String)]);
  expect(nobody.headers.get("www-authenticate")).toContain("Bearer");
  expect(await call(known.headers)).toBe("OK");
  expect(await call(narrow.headers)).toBe(Code.PermissionDenied);
  expect(await call({})).toBe(Code.Unauthenticated);
});

test("pages are for apps that are known, and health is for everybody", async () => {
  for (const path of ["/v2", "/v2/models", "/v2/models/tensors", "/v2/models/stats"]) {
    expect((await ask(cluster.url + path)).status).toBe(401);
    expect((await ask(cluster.url + path, { headers: known.headers })).status).toBe(200);
    // Of a model that it may not call, an app is told nothing.
    const status = path === "/v2/models/tensors" ? 403 : 200;
    expect((await ask(cluster.url + path, { headers: narrow.headers })).status).toBe(status);
  }
  for (const path of ["/v2/health/live", "/v2/health/ready"]) expect((await ask(cluster.url + path)).status).toBe(200);
  const codeOf = (error: unknown) => ConnectError.from(error).code;
  expect(await client().serverMetadata({}).catch(codeOf)).toBe(Code.Unauthenticated);
  expect((await client().serverReady({})).ready).toBe(true);
});

test("an app is charged for the tensors of its gRPC requests", async () => {
  expect(await call(small.headers, 1500)).toBe("OK");
  // The last that something is left for is let in whole, and what follows waits until it is paid for.
  expect(await call(small.headers, 1500)).toBe("OK");
  expect(await call(small.headers, 1)).toBe(Code.ResourceExhausted);
});
