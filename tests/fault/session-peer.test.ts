import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { LogLine, ServiceProcess } from "../../cli/service-process.ts";
import { startGateway, urlOf } from "../integration/cluster.ts";
import {
  eventually,
  frameOf,
  idleSlots,
  metric,
  openSocket,
  startLoaderOf,
  type TestLoader,
  type TestSocket,
} from "../integration/websocket-client.ts";
import { startProxy, type TcpProxy } from "./proxy.ts";

const pingTimeoutMs = 8000;
/** For a machine that is busy. */
const slackMs = 1500;
const slots = 8;
const ticker = `
import time
from typing import Iterator

import athena


@athena.service(id="ticker")
def ticker(data: str) -> Iterator[str]:
    while True:
        yield data
        time.sleep(0.1)
`;
const manifest = (id: string, engine: string) => `
id: ${id}
engine: ${engine}
inputs: { data: { type: text } }
outputs: { result: { type: text }, data: { type: text } }
once: false
stream: true
slots: { total: ${slots} }
`;

let loader: TestLoader;
let gateway: ServiceProcess;
let proxy: TcpProxy;
const lines: LogLine[] = [];

beforeAll(async () => {
  loader = await startLoaderOf(
    { echo: manifest("echo", "{ kind: echo }"), ticker: manifest("ticker", `{ kind: python, threads: ${slots} }`) },
    async (folder) => void (await Bun.write(join(folder, "ticker/wrapper.py"), ticker)),
  );
  const services = ["echo", "ticker"].map((id) => ({
    id,
    endpoints: [urlOf(loader.loader)],
    session: { idleTimeoutMs: 60_000 },
  }));
  gateway = await startGateway(services, { sessions: { pingTimeoutMs } }, (line) => {
    if (line.msg === "session") lines.push(line);
  });
  proxy = await startProxy(urlOf(gateway), () => ({
    from: "client",
    afterBytes: Number.POSITIVE_INFINITY,
    told: "both",
    isReset: false,
  }));
});

afterAll(async () => {
  await proxy.stop();
  await gateway.stop();
  await loader.stop();
});

/** Opens a session that has its first result. */
async function begin(url: string, status: 0 | 2): Promise<TestSocket> {
  const socket = await openSocket(url);
  socket.send(frameOf("a", status));
  await socket.next();
  await socket.next();
  return socket;
}

test("a client that is gone without a word is found out within pingTimeoutMs, also while results are sent to it", async () => {
  await begin(`${proxy.url}/echo`, 0);
  await begin(`${proxy.url}/ticker`, 2);
  const here = [await begin(`${urlOf(gateway)}/echo`, 0), await begin(`${urlOf(gateway)}/ticker`, 2)];
  proxy.mute();
  const started = performance.now();
  expect(await eventually(() => lines.length === 2, 3 * pingTimeoutMs)).toBe(true);
  expect(performance.now() - started).toBeLessThan(pingTimeoutMs + slackMs);
  expect(lines.map(({ service, outcome }) => `${service} ${outcome}`).sort()).toEqual([
    "echo CANCELED",
    "ticker CANCELED",
  ]);
  for (const service of ["echo", "ticker"]) {
    expect(await eventually(async () => (await idleSlots(loader.loader, service)) === slots - 1)).toBe(true);
  }
  // Those who answer pings are still there, whether they are sent results or not.
  const [echo, ticking] = here;
  const before = ticking?.received ?? 0;
  expect(await eventually(() => (ticking?.received ?? 0) > before)).toBe(true);
  echo?.send(frameOf("b", 2));
  expect((await echo?.closed)?.code).toBe(1000);
  ticking?.close();
  expect(await eventually(async () => (await metric(gateway, /^athena_gateway_websockets (\d+)$/m)) === 0)).toBe(true);
  expect(await eventually(async () => (await idleSlots(loader.loader, "ticker")) === slots)).toBe(true);
});
