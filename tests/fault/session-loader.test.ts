import { afterEach, expect, test } from "bun:test";
import type { ServiceProcess } from "../../cli/service-process.ts";
import { startGateway, startLoader, urlOf } from "../integration/cluster.ts";
import { eventually, frameOf, idleSlots, metric, openSocket, textOf } from "../integration/websocket-client.ts";

const running: ServiceProcess[] = [];

afterEach(async () => {
  for (const process of running.splice(0).reverse()) await process.stop();
});

test("a loader that is killed ends its own sessions at once, with a code that says so, and no other", async () => {
  const loaders = [await startLoader(["echo"]), await startLoader(["echo"])];
  running.push(...loaders);
  const [doomed, other] = loaders;
  if (doomed === undefined || other === undefined) throw new Error("two loaders were started");
  const gateway = await startGateway([
    { id: "echo", endpoints: loaders.map(urlOf), balancer: { kind: "round-robin" } },
  ]);
  running.push(gateway);
  const url = `${urlOf(gateway)}/echo`;
  const sockets = await Promise.all(Array.from({ length: 20 }, () => openSocket(url)));
  for (const socket of sockets) {
    socket.send(frameOf("a", 0));
    await socket.next();
    expect(textOf(await socket.next())).toBe("a");
  }
  expect([await idleSlots(doomed, "echo"), await idleSlots(other, "echo")]).toEqual([246, 246]);
  doomed.kill("SIGKILL");
  for (const socket of sockets) socket.send(frameOf("b", 2));
  const ends = await Promise.all(sockets.map((socket) => socket.closed));
  expect(ends.filter(({ code }) => code === 1000)).toHaveLength(10);
  expect(ends.filter(({ code }) => code === 1013)).toHaveLength(10);
  const lost = sockets.filter((_, index) => ends[index]?.code === 1013);
  expect(lost.map(({ frames }) => frames.at(-1)?.header.code)).toEqual(lost.map(() => 10222));
  expect(await metric(gateway, new RegExp(`^athena_gateway_in_flight\\{[^}]*${urlOf(doomed)}"\\} (\\d+)$`, "m"))).toBe(
    0,
  );
  // Nothing of a session has reached a loader that cannot be connected to: it begins on the other one.
  for (let i = 0; i < 10; i += 1) {
    const socket = await openSocket(url);
    socket.send(frameOf("c", 2));
    expect((await socket.closed).code).toBe(1000);
  }
  expect(await eventually(async () => (await idleSlots(other, "echo")) === 256)).toBe(true);
});
