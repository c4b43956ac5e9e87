import { afterEach, expect, test } from "bun:test";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { addressOf, type ServiceProcess } from "../../cli/service-process.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { startGateway, urlOf } from "../integration/cluster.ts";
import {
  eventually,
  frameOf,
  idleSlots,
  metric,
  openSocket,
  startLoaderOf,
  type TestLoader,
  textOf,
} from "../integration/websocket-client.ts";
import { startProxy, type TcpProxy } from "./proxy.ts";

/*
 * Processes that are killed or frozen and connections that are cut or fall silent, each while every kind of caller has
 * a call under way: every caller hears of it, nothing is left behind, and the next call works.
 */

const slots = 8;
/** Sessions may be silent for so long that only what went wrong can end them in time. */
const quietMs = 300_000;
const onceMs = 2500;
const loaderConnections = { pingIntervalMs: 500, pingTimeoutMs: 500 };
const manifest = `
id: echo
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text } }
parameters: { delayMs: { type: integer } }
once: true
stream: true
slots: { total: ${slots} }
session: { idleTimeoutMs: ${quietMs}, totalTimeoutMs: ${quietMs} }
`;

/** What runs, and how it is ended. */
interface Setting {
  readonly loader: TestLoader;
  readonly proxy: TcpProxy;
  readonly gateway: ServiceProcess;
}

const ending: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function startLoader(): Promise<TestLoader> {
  const loader = await startLoaderOf({ echo: manifest });
  ending.push(() => loader.stop());
  return loader;
}

async function startGatewayOf(endpoints: readonly string[]): Promise<ServiceProcess> {
  const service = { id: "echo", endpoints, timeoutMs: onceMs, session: { idleTimeoutMs: quietMs } };
  // A loader that does not answer is asked again soon, so that it is soon known to be well.
  const options = { loaderConnections, healthCheck: { intervalMs: 100, timeoutMs: 1000 }, drainTimeoutMs: 1000 };
  const gateway = await startGateway([service], options);
  ending.push(() => gateway.stop());
  return gateway;
}

async function start(): Promise<Setting> {
  const loader = await startLoader();
  const proxy = await startProxy(urlOf(loader.loader));
  ending.push(() => proxy.stop());
  return { loader, proxy, gateway: await startGatewayOf([proxy.url]) };
}

/** A call that has its slot. */
interface Underway {
  /** What its caller hears at its end: a close code, a status or a code of gRPC's, and the reason's number. */
  readonly end: Promise<string>;
}

type Caller = (gateway: ServiceProcess) => Promise<Underway>;

const slow = { parameter: { echo: { delayMs: 120_000 } } };

async function callOverWebSocket(gateway: ServiceProcess): Promise<Underway> {
  const socket = await openSocket(`${urlOf(gateway)}/echo`);
  socket.send(frameOf("one", 0));
  await socket.next();
  expect(textOf(await socket.next())).toBe("one");
  const told = (): number => socket.frames.at(-1)?.header.code ?? 0;
  return { end: socket.closed.then(({ code }) => `${code} ${told()}`) };
}

async function callOverHttp(gateway: ServiceProcess, status: number, accept: string): Promise<Underway> {
  const answer = fetch(`${urlOf(gateway)}/v1/private/echo`, {
    method: "POST",
    headers: { "content-type": "application/json", accept },
    body: JSON.stringify({ ...frameOf("one", status), ...slow }),
  });
  const told = async (response: Response): Promise<string> => {
    const { header } = (await response.json()) as { header: { code: number } };
    return `${response.status} ${header.code}`;
  };
  return { end: answer.then(told).catch((error) => String(error.code)) };
}

async function callOverGrpc(gateway: ServiceProcess): Promise<Underway> {
  const client = createClient(InferenceService, createGrpcTransport({ baseUrl: addressOf(gateway, "grpc") }));
  const hasResult = Promise.withResolvers<void>();
  async function* messages() {
    const parts = [{ name: "data", type: PartType.TEXT, data: new TextEncoder().encode("one") }];
    yield { message: { case: "open" as const, value: { service: "echo", headers: { app_id: "1" } } } };
    yield { message: { case: "input" as const, value: { parts } } };
    yield { message: { case: "input" as const, value: { parts } } };
    await new Promise<never>(() => {});
  }
  const read = async (): Promise<string> => {
    try {
      for await (const { response } of client.inferStream(messages())) if (response) hasResult.resolve();
      return "the session ended well";
    } catch (error) {
      return String(ConnectError.from(error).code);
    } finally {
      hasResult.reject(new Error("the session ended before its first result"));
    }
  };
  const end = read();
  await hasResult.promise;
  return { end };
}

const callers: Readonly<Record<string, Caller>> = {
  webSocket: callOverWebSocket,
  sse: (gateway) => callOverHttp(gateway, 2, "text/event-stream"),
  grpc: callOverGrpc,
  once: (gateway) => callOverHttp(gateway, 3, "application/json"),
};

/** Begins one call of each kind; gives what their callers heard at the end. `others` are at the loader already. */
async function callAll(gateway: ServiceProcess, loader: ServiceProcess, others = 0): Promise<() => Promise<unknown>> {
  const underway = await Promise.all(
    Object.entries(callers).map(async ([name, call]) => [name, await call(gateway)] as const),
  );
  const busy = underway.length + others;
  expect(await eventually(async () => (await idleSlots(loader, "echo")) === slots - busy)).toBe(true);
  return async () => Object.fromEntries(await Promise.all(underway.map(async ([name, { end }]) => [name, await end])));
}

/** A session and a once-call that end well. */
async function callAgain(gateway: ServiceProcess): Promise<void> {
  const socket = await openSocket(`${urlOf(gateway)}/echo`);
  socket.send(frameOf("two", 2));
  expect((await socket.closed).code).toBe(1000);
  const answer = await fetch(`${urlOf(gateway)}/v1/private/echo`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(frameOf("two", 3)),
  });
  expect(answer.status).toBe(200);
}

const isReady = async (gateway: ServiceProcess): Promise<boolean> =>
  (await fetch(`${addressOf(gateway, "admin")}/readyz`)).ok;

/** Nothing is left of calls at a loader, but of so many others. */
async function expectNoneAtLoader({ loader }: TestLoader, withinMs: number, others = 0): Promise<void> {
  expect(await eventually(async () => (await idleSlots(loader, "echo")) === slots - others, withinMs)).toBe(true);
}

/** Nothing is left of calls at a gateway. */
async function expectNoneAtGateway(gateway: ServiceProcess): Promise<void> {
  for (const pattern of [
    /^athena_gateway_in_flight\{service="echo"[^}]*\} (\d+)$/m,
    /^athena_gateway_requests_in_flight (\d+)$/m,
    /^athena_gateway_websockets (\d+)$/m,
  ]) {
    expect(await eventually(async () => (await metric(gateway, pattern)) === 0), String(pattern)).toBe(true);
  }
  // A service without sessions has no such line.
  expect(await metric(gateway, /^athena_gateway_sessions\{service="echo"\} (\d+)$/m)).toBeNaN();
}

/** What each caller is told when its loader is lost. */
const lost = { webSocket: "1013 10222", sse: "502 10222", grpc: "14", once: "502 10222" };
/** A once-call has its deadline alone. */
const late = { ...lost, once: "504 10102" };

test("a loader that is killed ends its calls at once, and another one in its place is called", async () => {
  const { loader, proxy, gateway } = await start();
  const ends = await callAll(gateway, loader.loader);
  const killedAt = performance.now();
  loader.loader.kill("SIGKILL");
  expect(await ends()).toEqual(lost);
  expect(performance.now() - killedAt).toBeLessThan(3000);
  await expectNoneAtGateway(gateway);
  const other = await startLoader();
  proxy.aim(urlOf(other.loader));
  expect(await eventually(() => isReady(gateway))).toBe(true);
  await callAgain(gateway);
});

test("a gateway that is killed ends its callers' connections, and its loader's sessions within a second", async () => {
  const { loader, proxy, gateway } = await start();
  const ends = await callAll(gateway, loader.loader);
  gateway.kill("SIGKILL");
  expect(await ends()).toEqual({ webSocket: "1006 0", sse: "ECONNRESET", grpc: "1", once: "ECONNRESET" });
  await expectNoneAtLoader(loader, 1000);
  await callAgain(await startGatewayOf([proxy.url]));
});

test("a frozen loader's calls end within their bounds, and when it goes on nothing of them is left", async () => {
  const { loader, gateway } = await start();
  const ends = await callAll(gateway, loader.loader);
  loader.loader.kill("SIGSTOP");
  try {
    expect(await ends()).toEqual(late);
    await expectNoneAtGateway(gateway);
  } finally {
    loader.loader.kill("SIGCONT");
  }
  await expectNoneAtLoader(loader, 3000);
  expect(await eventually(() => isReady(gateway))).toBe(true);
  await callAgain(gateway);
});

test("connections to a loader that are cut end their calls at once on both sides", async () => {
  const { loader, proxy, gateway } = await start();
  const ends = await callAll(gateway, loader.loader);
  proxy.cut();
  expect(await ends()).toEqual(lost);
  await expectNoneAtGateway(gateway);
  await expectNoneAtLoader(loader, 3000);
  expect(await eventually(() => isReady(gateway))).toBe(true);
  await callAgain(gateway);
});

test("connections that fall silent without an end are found out on both sides, and a quiet session lives on", async () => {
  const { loader, proxy, gateway } = await start();
  const quiet = await openSocket(`${urlOf(await startGatewayOf([urlOf(loader.loader)]))}/echo`);
  quiet.send(frameOf("one", 0));
  for (const text of ["", "one"]) expect(textOf(await quiet.next())).toBe(text);
  const ends = await callAll(gateway, loader.loader, 1);
  proxy.mute();
  expect(await ends()).toEqual(late);
  await expectNoneAtGateway(gateway);
  // Three intervals, and what the runtime's coarse timers add.
  await expectNoneAtLoader(loader, 10_000, 1);
  // Its connection has carried no frame for longer than the others.
  quiet.send(frameOf("two", 2));
  expect((await quiet.closed).code).toBe(1000);
  expect(await eventually(() => isReady(gateway))).toBe(true);
  await callAgain(gateway);
});
