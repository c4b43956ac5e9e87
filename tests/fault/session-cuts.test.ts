import { afterAll, beforeAll, expect, test } from "bun:test";
import { startResumingClient } from "../../bench/resuming-client.ts";
import { binaryJsonWire, jsonWire, protoWire } from "../../bench/resuming-wire.ts";
import type { LogLine, ServiceProcess } from "../../cli/service-process.ts";
import { startGateway, urlOf } from "../integration/cluster.ts";
import { eventually, idleSlots, metric, startLoaderOf, type TestLoader } from "../integration/websocket-client.ts";
import { type Cut, startProxy, type TcpProxy } from "./proxy.ts";

const sessionsAlone = 100;
const connections = 10;
const sessionsTogether = 10;
const framesEach = 50;
const slots = 4096;
const wires = [jsonWire, binaryJsonWire, protoWire];
/** What a failure has to be repeated with: ATHENA_TEST_SEED. */
const seed = Number(process.env.ATHENA_TEST_SEED ?? Math.floor(Math.random() * 2 ** 32));

let loader: TestLoader;
let gateway: ServiceProcess;
const proxies: TcpProxy[] = [];
const outcomes: unknown[] = [];

/** Numbers from 0 up to 1 that a seed tells: mulberry32. */
function createRandom(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = createRandom(seed);
const oneOf = <Value>(values: readonly [Value, ...Value[]]): Value =>
  values[Math.floor(random() * values.length)] ?? values[0];

/** Breaks each connection anywhere in its first bytes, the handshake included. */
const cutWithin = (maxBytes: number) => (): Cut => ({
  from: oneOf(["client", "server"]),
  afterBytes: Math.floor(random() * maxBytes),
  told: oneOf(["both", "client", "server"]),
  isReset: oneOf([true, false]),
});

/** Texts that tell whose they are; some are long enough to be cut in the middle. */
function textsOf(session: string): readonly string[] {
  return Array.from({ length: framesEach }, (_, index) => {
    const length = random() < 0.1 ? 1000 : 0;
    return `${session}.${index}.${"x".repeat(length)}`;
  });
}

beforeAll(async () => {
  const echo = `
id: echo
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text } }
once: false
stream: true
slots: { total: ${slots} }
`;
  loader = await startLoaderOf({ echo });
  const services = [{ id: "echo", endpoints: [urlOf(loader.loader)] }];
  gateway = await startGateway(services, { sessions: { resumeWindowMs: 10_000 } }, ({ msg, outcome }: LogLine) => {
    if (msg === "session") outcomes.push(outcome);
  });
  // What is meant to be over is over many times before: no session gets far on one connection.
  for (const maxBytes of [3000, 20_000]) proxies.push(await startProxy(urlOf(gateway), cutWithin(maxBytes)));
});

afterAll(async () => {
  for (const proxy of proxies) await proxy.stop();
  await gateway.stop();
  await loader.stop();
});

/** The number that a gauge without labels has at the gateway. */
const gauge = (name: string): Promise<number> => metric(gateway, new RegExp(`^${name} (\\d+)$`, "m"));

test("200 sessions of 50 frames whose connections are cut at random lose, double, reorder and mix up no frame", async () => {
  const [few, many] = proxies;
  if (few === undefined || many === undefined) throw new Error("there are two proxies");
  const alone = Array.from({ length: sessionsAlone }, (_, index) => ({ proxy: few, texts: [textsOf(`a${index}`)] }));
  const together = Array.from({ length: connections }, (_, index) => ({
    proxy: many,
    texts: Array.from({ length: sessionsTogether }, (_, at) => textsOf(`t${index}.${at}`)),
  }));
  const all = [...alone, ...together];
  const clients = all.map(({ proxy, texts }, index) => {
    const wire = wires[index % wires.length] ?? jsonWire;
    return startResumingClient({ url: `${proxy.url}/echo`, sessions: texts, wire, isHasty: index % 2 === 0 });
  });
  const results = await Promise.all(clients.map((client) => client.results)).catch((error) => {
    throw new Error(`with ATHENA_TEST_SEED=${seed}`, { cause: error });
  });
  expect(results, `with ATHENA_TEST_SEED=${seed}`).toEqual(all.map(({ texts }) => texts));
  for (const client of clients) expect(client.connections, `with ATHENA_TEST_SEED=${seed}`).toBeGreaterThan(1);
  const count = sessionsAlone + connections * sessionsTogether;
  expect(few.cuts + many.cuts).toBeGreaterThan(count);
  const isOk = (outcome: unknown): boolean => outcome === "OK";
  expect(await eventually(() => outcomes.filter(isOk).length === count)).toBe(true);
  // Nothing is left of them; those whose first words were lost with their connection are given up first.
  expect(await eventually(async () => (await gauge("athena_gateway_resumable_sessions")) === 0, 15_000)).toBe(true);
  expect(await eventually(async () => (await idleSlots(loader.loader, "echo")) === slots)).toBe(true);
  expect(await eventually(async () => (await gauge("athena_gateway_websockets")) === 0)).toBe(true);
  expect(await metric(gateway, /^athena_gateway_sessions\{service="echo"\} (\d+)$/m)).toBeNaN();
  expect(await metric(gateway, /^athena_gateway_in_flight\{service="echo"[^}]*\} (\d+)$/m)).toBe(0);
  // However often it was cut, each is one session in the log.
  expect(outcomes.filter((outcome) => !isOk(outcome) && outcome !== "CANCELED")).toEqual([]);
  expect(outcomes.filter(isOk)).toHaveLength(count);
});
