import { afterAll, beforeAll, expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { addressOf, type ServiceProcess } from "../../cli/service-process.ts";
import { errorTable, isReason } from "../../proto/errors.ts";
import { WebSocketRequestSchema } from "../../proto/gen/athena/v1/websocket_pb.ts";
import { startGateway, startLoader, urlOf } from "../integration/cluster.ts";
import { eventually, frameOf, idleSlots, metric, openSocket } from "../integration/websocket-client.ts";

/*
 * Whatever a client sends: the gateway lives, holds no session afterwards, answers in bounded number, and never says that the
 * fault is its own.
 */

let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  const sessions = { maxPerConnection: 4, maxFrameBytes: 20_000, maxWaitingBytes: 10_000, resumeWindowMs: 100 };
  const limits = { maxJsonDepth: 12 };
  gateway = await startGateway([{ id: "echo", endpoints: [urlOf(loader)] }], { sessions, limits });
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const odd = fc.oneof(
  fc.constantFrom<unknown>(0, 1, 2, 3, null, "", "aGk=", "a$b", -1, 1e21, true, "__proto__"),
  fc.jsonValue({ maxDepth: 3 }),
);
const some = (arbitrary: fc.Arbitrary<unknown>) => fc.option(arbitrary, { nil: undefined });
const name = fc.constantFrom("a", "b", "", "x".repeat(200), 7);
const envelope = fc.record({
  header: some(
    fc.oneof(
      { weight: 1, arbitrary: odd },
      {
        weight: 6,
        arbitrary: fc.record(
          {
            app_id: fc.oneof(fc.constant("1"), odd),
            status: fc.oneof(fc.constantFrom(0, 1, 2, 3), odd),
            cid: fc.oneof(name, odd),
            seq: fc.oneof(fc.nat(4), odd),
            ack: fc.oneof(fc.nat(4), odd),
            sid: odd,
            resume_token: odd,
          },
          { requiredKeys: [] },
        ),
      },
    ),
  ),
  parameter: some(fc.oneof(odd, fc.record({ echo: fc.oneof(odd, fc.record({ data: odd, delayMs: odd })) }))),
  payload: some(
    fc.oneof(odd, fc.record({ data: fc.oneof(odd, fc.record({ text: odd, status: odd, seq: odd, encoding: odd })) })),
  ),
});
const good = fc.tuple(fc.constantFrom(0, 1, 2, 3), name).map(([status, cid]) => frameOf("x", status, { cid }));
const message = fc
  .record({ cid: fc.string({ maxLength: 3 }), end: fc.boolean(), seq: fc.nat(5), ack: fc.nat(5), opens: fc.boolean() })
  .map(({ opens, ...rest }) => {
    const parts = [{ name: "data", type: 1, data: new Uint8Array(3) }];
    const open = { case: "open" as const, value: { headers: { app_id: "1" }, parts } };
    const content = opens ? open : { case: "input" as const, value: { parts } };
    return toBinary(WebSocketRequestSchema, create(WebSocketRequestSchema, { ...rest, message: content }));
  });
const frame: fc.Arbitrary<string | Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: fc.oneof(envelope, good).map((value) => JSON.stringify(value)) },
  { weight: 2, arbitrary: message },
  { weight: 1, arbitrary: fc.string({ maxLength: 100 }) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) },
  { weight: 1, arbitrary: fc.nat(30_000).map((length) => "[".repeat(length)) },
);
const query = fc.constantFrom("", "?stream_mode=multiplex", "?resume=true", "?stream_mode=multiplex&resume=true");

/** How sessions have ended, by reason. */
async function outcomes(): Promise<readonly string[]> {
  const text = await (await fetch(`${addressOf(gateway, "admin")}/metrics`)).text();
  return [...text.matchAll(/^athena_gateway_sessions_total\{[^}]*outcome="(\w+)"\}/gm)].map(
    ([, outcome = ""]) => outcome,
  );
}

test("no frames of a client's end a gateway, or make it say that the fault is its own", async () => {
  await fc.assert(
    fc.asyncProperty(
      query,
      fc.boolean(),
      fc.array(frame, { minLength: 1, maxLength: 8 }),
      async (mode, proto, frames) => {
        const socket = await openSocket(`${urlOf(gateway)}/echo${mode}`, proto ? ["athena.v1.proto"] : []);
        for (const data of frames) socket.sendRaw(data);
        // Some sessions get on; others are left in the middle.
        await Promise.race([socket.closed, Bun.sleep(10)]);
        socket.close();
        const { code } = await socket.closed;
        expect(code === 1011).toBe(false);
        expect(socket.received).toBeLessThan(frames.length * 4);
      },
    ),
    { numRuns: 500 },
  );
  const seen = await outcomes();
  expect(seen).toContain("MALFORMED_ENVELOPE");
  expect(seen).toContain("OK");
  expect(seen.filter((outcome) => isReason(outcome) && errorTable[outcome].httpStatus >= 500)).toEqual([]);
  expect((await fetch(`${addressOf(gateway, "admin")}/healthz`)).status).toBe(200);
  expect(
    await eventually(async () => Number.isNaN(await metric(gateway, /^athena_gateway_sessions\{.*\} (\d+)$/m))),
  ).toBe(true);
  expect(await metric(gateway, /^athena_gateway_in_flight\{service="echo"[^}]*\} (\d+)$/m)).toBe(0);
  expect(await eventually(async () => (await idleSlots(loader, "echo")) === 256)).toBe(true);
});
