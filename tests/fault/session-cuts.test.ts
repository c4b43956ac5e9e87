import { afterAll, beforeAll, expect, test } from "bun:test";
import { startResumingClient } from "../../bench/resuming-client.ts";
import type { LogLine, ServiceProcess } from "../../cli/service-process.ts";
import { startGateway, startLoader, urlOf } from "../integration/cluster.ts";
import { eventually, idleSlots } from "../integration/websocket-client.ts";

const sessions = 40;
const frames = 50;
let loader: ServiceProcess;
let gateway: ServiceProcess;
const lines: LogLine[] = [];

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  gateway = await startGateway([{ id: "echo", endpoints: [urlOf(loader)] }], {}, (line) => {
    if (line.msg === "session") lines.push(line);
  });
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

test("sessions whose connections are cut at random lose, double, reorder and mix up no frame", async () => {
  const texts = Array.from({ length: sessions }, () => {
    const nonce = crypto.randomUUID();
    return Array.from({ length: frames }, (_, index) => `${nonce}.${index}`);
  });
  const clients = texts.map((own) => startResumingClient(`${urlOf(gateway)}/echo`, own));
  let isOver = false;
  const results = Promise.all(clients.map((client) => client.results)).finally(() => {
    isOver = true;
  });
  const cutting = (async () => {
    while (!isOver) {
      clients[Math.floor(Math.random() * sessions)]?.cut();
      await Bun.sleep(Math.random() * 5);
    }
  })();
  expect(await results).toEqual(texts);
  await cutting;
  const cuts = clients.reduce((sum, client) => sum + client.cuts, 0);
  expect(cuts).toBeGreaterThan(sessions / 2);
  expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256, 15_000)).toBe(true);
  expect(await eventually(() => lines.length >= sessions)).toBe(true);
  // However often it was cut, each is one session in the log.
  expect(lines.map(({ outcome }) => outcome)).toEqual(texts.map(() => "OK"));
});
