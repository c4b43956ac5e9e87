import { afterAll, describe, expect, test } from "bun:test";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { addressOf, type ServiceProcess } from "../../cli/service-process.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { GRPCInferenceService } from "../../proto/gen/inference/grpc_service_pb.ts";
import { newKey } from "./api-key.ts";
import { post, startGateway, urlOf } from "./cluster.ts";
import { eventually, idleSlots, metric, startLoaderOf } from "./websocket-client.ts";

/* A service with one slot: of what waits for it, the highest priority goes first. */

const urgent = newKey();
const plain = newKey();

const own = await startLoaderOf({
  narrow: `
id: narrow
version: v1
engine: { kind: echo }
inputs: { data: { type: text, required: true } }
outputs: { data: { type: text } }
parameters: { delayMs: { type: integer } }
once: true
stream: true
slots: { total: 1, best: 1 }
queue: { maxLength: 10 }
timeoutMs: 60000
`,
});
const services = [{ id: "narrow", endpoints: [urlOf(own.loader)] }];
const apps = [
  { id: "urgent", services: ["*"], keys: [urgent.hash], limits: { maxPriority: 100 } },
  { id: "plain", services: ["*"], keys: [plain.hash] },
];
const guarded = await startGateway(services, { admission: { apps } });
const open = await startGateway(services);
const level = await startGateway(services, { limits: { maxPriority: 0 } });

afterAll(async () => {
  for (const gateway of [guarded, open, level]) await gateway.stop();
  await own.stop();
});

type Headers = Readonly<Record<string, string>>;
/** Makes one call with a priority; settles with its answer. */
type Ask = (gateway: ServiceProcess, priority: number, headers: Headers) => Promise<unknown>;

/** How long the slot is taken for each call: longer than an answer's way back, so that their order tells that of the calls. */
const delayMs = 150;
const data = new TextEncoder().encode("x");
/** An app of admission need not be named. */
const messageOf = (priority: number, credentials: Headers = {}) => ({
  service: "narrow",
  headers: "authorization" in credentials ? {} : { app_id: "1" },
  priority,
  parameters: { delayMs: String(delayMs) },
  parts: [{ name: "data", type: PartType.TEXT, data }],
});

function messages(transportOf: (gateway: ServiceProcess) => Transport): Readonly<Record<"unary" | "stream", Ask>> {
  const client = (gateway: ServiceProcess) => createClient(InferenceService, transportOf(gateway));
  return {
    unary: (gateway, priority, headers) => client(gateway).infer(messageOf(priority, headers), { headers }),
    async stream(gateway, priority, headers) {
      async function* session() {
        yield { message: { case: "open" as const, value: { ...messageOf(priority, headers), parts: [] } } };
        yield { message: { case: "input" as const, value: { parts: messageOf(0).parts, last: true } } };
      }
      await Array.fromAsync(client(gateway).inferStream(session(), { headers }));
    },
  };
}

const connect = messages((gateway) => createConnectTransport({ baseUrl: urlOf(gateway), httpVersion: "2" }));
const grpc = messages((gateway) => createGrpcTransport({ baseUrl: addressOf(gateway, "grpc") }));
const web = messages((gateway) => createGrpcWebTransport({ baseUrl: urlOf(gateway), httpVersion: "1.1" }));

// The protocol's own priorities: 1 is the highest, 101 as usual.
const oipPriority = (priority: number): number => 101 - priority;
const rest: Ask = async (gateway, priority, headers) => {
  const inputs = [{ name: "data", datatype: "BYTES", shape: [1], data: ["x"] }];
  const body = { inputs, parameters: { delayMs, priority: oipPriority(priority) } };
  const { status } = await post(`${urlOf(gateway)}/v2/models/narrow/infer`, body, headers);
  if (status !== 200) throw new Error(`status ${status}`);
};
const int64 = (value: number) => ({ parameterChoice: { case: "int64Param" as const, value: BigInt(value) } });
const oipGrpc: Ask = (gateway, priority, headers) =>
  createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: addressOf(gateway, "grpc") })).modelInfer(
    {
      modelName: "narrow",
      inputs: [{ name: "data", datatype: "BYTES", shape: [1n] }],
      rawInputContents: [Uint8Array.of(data.length, 0, 0, 0, ...data)],
      parameters: { delayMs: int64(delayMs), priority: int64(oipPriority(priority)) },
    },
    { headers },
  );

const protocols: readonly (readonly [string, Ask])[] = [
  ["Connect", connect.unary],
  ["a Connect stream", connect.stream],
  ["gRPC", grpc.unary],
  ["a gRPC stream", grpc.stream],
  ["gRPC-Web", web.unary],
  ["the Open Inference Protocol's REST", rest],
  ["the Open Inference Protocol's gRPC", oipGrpc],
];

const waiting = async (): Promise<number> =>
  metric(own.loader, /^athena_loader_queue_length\{service="narrow"\} (\d+)$/m);

/** Lets calls wait one after the other behind one that takes a minute, lets that hang up, and gives the order of their answers. */
async function orderOf(calls: Readonly<Record<string, () => Promise<unknown>>>): Promise<readonly string[]> {
  const hangUp = new AbortController();
  const client = createClient(InferenceService, createConnectTransport({ baseUrl: urlOf(open), httpVersion: "1.1" }));
  const blocker = client
    .infer({ ...messageOf(100), parameters: { delayMs: "60000" } }, { signal: hangUp.signal })
    .catch(() => undefined);
  expect(await eventually(async () => (await idleSlots(own.loader, "narrow")) === 0)).toBe(true);
  const order: string[] = [];
  const answers: Promise<unknown>[] = [];
  for (const [name, call] of Object.entries(calls)) {
    answers.push(call().then(() => order.push(name)));
    expect(await eventually(async () => (await waiting()) === answers.length)).toBe(true);
  }
  hangUp.abort();
  await Promise.all([blocker, ...answers]);
  return order;
}

describe.each(protocols)("over %s", (_, ask) => {
  test("an app that may have a high priority overtakes one that waits", async () => {
    const order = await orderOf({
      first: () => connect.unary(guarded, 0, plain.headers),
      second: () => ask(guarded, 100, urgent.headers),
    });
    expect(order).toEqual(["second", "first"]);
  });

  test("an app that may not is answered, and overtakes nobody", async () => {
    const order = await orderOf({
      first: () => connect.unary(guarded, 0, urgent.headers),
      second: () => ask(guarded, 100, plain.headers),
    });
    expect(order).toEqual(["first", "second"]);
  });
});

test("an app may still go behind the others", async () => {
  const order = await orderOf({
    first: () => connect.unary(guarded, -100, plain.headers),
    second: () => connect.unary(guarded, 0, plain.headers),
  });
  expect(order).toEqual(["second", "first"]);
});

test("without admission the gateway's own bound holds, which lets everybody have any priority unless told", async () => {
  const order = (gateway: ServiceProcess) =>
    orderOf({
      first: () => connect.unary(gateway, 0, {}),
      second: () => connect.unary(gateway, 100, {}),
    });
  expect(await order(open)).toEqual(["second", "first"]);
  expect(await order(level)).toEqual(["first", "second"]);
});
