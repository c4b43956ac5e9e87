import { afterEach, expect, test } from "bun:test";
import { type ClientHttp2Session, connect } from "node:http2";
import { aliveHeader } from "../../proto/metadata.ts";
import { type Listener, listen } from "./listener.ts";

const clients: ClientHttp2Session[] = [];
const listeners: Listener[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  for (const listener of listeners.splice(0)) listener.close();
});

/** A listener whose requests are watched and answered with a body that does not end. */
function listenForSessions(): Listener {
  const listener = listen({ host: "127.0.0.1", port: 0 }, (request, watch) => {
    const watched = watch();
    request.signal.addEventListener("abort", () => watched[Symbol.dispose]());
    return new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(1)) }));
  });
  listeners.push(listener);
  return listener;
}

/** A session from which nothing comes after its request. */
async function openQuiet({ url }: Listener, headers: Readonly<Record<string, string>>) {
  const client = connect(url);
  clients.push(client);
  client.on("error", () => {});
  const stream = client.request({ ":method": "POST", ":path": "/", ...headers }, { endStream: false });
  stream.on("error", () => {});
  await new Promise((resolve) => stream.once("response", resolve));
  return stream.resume();
}

test("a promised sign of life that does not come ends the connection, but not in a drain and not where none was promised", async () => {
  const draining = listenForSessions();
  const drained = await openQuiet(draining, { [aliveHeader]: "100" });
  const isDrained = draining.drain(60_000);
  const listener = listenForSessions();
  const others = [
    await openQuiet(listener, {}),
    await openQuiet(listener, { [aliveHeader]: "soon" }),
    await openQuiet(listener, { [aliveHeader]: "60001" }),
  ];
  const vanished = await openQuiet(listener, { [aliveHeader]: "100" });
  await new Promise((resolve) => vanished.once("close", resolve));
  expect(others.map(({ closed }) => closed)).toEqual([false, false, false]);
  expect(drained.closed).toBe(false);
  drained.destroy();
  expect(await isDrained).toBe(true);
}, 20_000);
