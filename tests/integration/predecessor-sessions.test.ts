import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { addressOf, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { InferenceService, InferRequestSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { startGateway, urlOf } from "./cluster.ts";
import { openSocket, startLoaderOf, textOf } from "./websocket-client.ts";

/*
 * Sessions as the predecessor's clients hold them, with one of its streaming wrappers; docs/compatibility.md says why where
 * something differs.
 */

const local = { host: "127.0.0.1", port: 0 };
const loader = await startServiceProcess({
  main: "loader/main.ts",
  config: JSON.stringify({
    listen: local,
    admin: local,
    services: [join(import.meta.dir, "../fixtures/predecessor/noob-stream")],
  }),
});
await waitUntilReady(loader, ["noob_stream"]);
const holes = await startLoaderOf({
  holes: `
id: holes
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text } }
once: false
stream: true
session: { holeTimeoutMs: 300 }
`,
});
const gateway = await startGateway([
  { id: "noob_stream", endpoints: [urlOf(loader)] },
  { id: "holes", endpoints: [urlOf(holes.loader)] },
]);
const url = urlOf(gateway);

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await holes.stop();
});

const accept = { encoding: "utf8", compress: "raw", format: "plain", data_type: "text" };
const chunk = (text: string, status: number, seq: number) => ({
  payload: { text: { encoding: "utf8", status, seq, text: btoa(text) } },
});
const opening = {
  header: { appid: "a", status: 0 },
  parameter: { noob_stream: { mode: "x", result: accept } },
  ...chunk("one", 0, 0),
};

describe("a session of the predecessor's", () => {
  test("goes as there: header and parameters once, an acknowledgement, a frame for each callback, seq counted on", async () => {
    const socket = await openSocket(`${url}/v1/private/noob_stream`);
    socket.send(opening);
    const { header: ack, payload } = await socket.next();
    expect([ack, payload]).toEqual([
      { code: 0, message: "success", sid: expect.stringMatching(/^ase.{29}$/), status: 0 },
      undefined,
    ]);
    const first = await socket.next();
    socket.send(chunk("two", 1, 1));
    const second = await socket.next();
    socket.send({ header: { status: 2 }, ...chunk("three", 2, 2) });
    const third = await socket.next();
    expect((await socket.closed).code).toBe(1000);
    const frames = [first, second, third];
    expect(frames.map(({ header }) => header)).toEqual(
      [0, 1, 2].map((status) => ({ code: 0, message: "success", sid: ack.sid, status })),
    );
    expect(frames.map((frame) => JSON.parse(textOf(frame)))).toEqual(
      ["one", "two", "three"].map((text, index) => ({ n: index + 1, text, mode: "x" })),
    );
    for (const [index, frame] of frames.entries()) {
      const { text: _, ...attributes } = frame.payload?.result ?? {};
      expect(attributes).toEqual({ ...accept, seq: index + 1, status: index });
    }
  });

  test("keeps the parameters that it began with, whatever later frames say", async () => {
    const socket = await openSocket(`${url}/noob_stream`);
    socket.send(opening);
    socket.send({ parameter: { noob_stream: { mode: "other" } }, ...chunk("two", 2, 1) });
    expect((await socket.closed).code).toBe(1000);
    expect(socket.frames.slice(1).map((frame) => JSON.parse(textOf(frame)).mode)).toEqual(["x", "x"]);
  });

  test("takes several chunks at once in the order in which they were sent", async () => {
    const socket = await openSocket(`${url}/noob_stream`);
    socket.send(opening);
    const texts = Array.from({ length: 20 }, (_, index) => `chunk ${index}`);
    for (const [index, text] of texts.entries()) socket.send(chunk(text, index === 19 ? 2 : 1, index + 1));
    expect((await socket.closed).code).toBe(1000);
    expect(socket.frames.slice(2).map((frame) => JSON.parse(textOf(frame)).text)).toEqual(texts);
  });

  test("is not begun by a plain GET, which was 400", async () => {
    expect((await fetch(`${url}/v1/private/noob_stream`)).status).toBe(405);
  });

  test("has no echo of its frames at /ping", async () => {
    await expect(openSocket(`${url}/ping`)).rejects.toThrow();
  });
});

describe("chunks that say where they belong, as sync_id did", () => {
  const client = createClient(InferenceService, createGrpcTransport({ baseUrl: addressOf(gateway, "grpc") }));

  /** Opens with place 1, then sends a chunk for each place; gives what came back, and when after the last was sent. */
  async function answersTo(places: readonly number[]) {
    async function* messages() {
      const value = create(InferRequestSchema, { service: "holes", headers: { app_id: "1" } });
      yield { message: { case: "open" as const, value } };
      for (const place of places) {
        const data = new TextEncoder().encode(String(place));
        const parts = [{ name: "data", type: PartType.TEXT, attributes: { status: "1" }, data }];
        sentAtMs = performance.now();
        yield { message: { case: "input" as const, value: { sequence: place, parts } } };
      }
      // The input stays open, so that it is time alone that ends a hole.
      await finished.promise;
    }
    const finished = Promise.withResolvers<void>();
    let sentAtMs = 0;
    const results: { text: string; afterMs: number }[] = [];
    for await (const { response } of client.inferStream(messages())) {
      const text = new TextDecoder().decode(response?.parts[0]?.data);
      if (text === "") continue;
      results.push({ text, afterMs: performance.now() - sentAtMs });
      if (text === String(places.at(-1))) finished.resolve();
    }
    return results;
  }

  test("come to the engine in their order, which waits for a hole, and without what comes twice", async () => {
    const results = await answersTo([3, 2, 2, 5]);
    expect(results.map(({ text }) => text)).toEqual(["2", "3", "5"]);
    expect(results.at(-1)?.afterMs).toBeGreaterThan(290);
  });
});
