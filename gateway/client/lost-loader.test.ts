import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { InferRequestSchema, InferResponseSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { type BalancerConfig, createBalancer } from "../balancer/registry.ts";
import { createPool } from "../pool/pool.ts";
import { dispatch } from "./dispatch.ts";
import { createLoaderClient } from "./loader-client.ts";
import { createRetryBudget } from "./retry-budget.ts";

/** A loader that gives each request its own sid and data back, after a turn of the event loop. */
function serveEcho() {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(received) {
      const { sid, parts } = fromBinary(InferRequestSchema, await received.bytes());
      await new Promise(setImmediate);
      const answer = toBinary(InferResponseSchema, create(InferResponseSchema, { sid, parts }));
      return new Response(answer, { headers: { "content-type": "application/proto", "athena-load": "8;8;4;0;0" } });
    },
  });
}

const balancers = [
  { kind: "round-robin" },
  { kind: "least-load" },
  { kind: "consistent-hash", maxLoadFactor: 1.25 },
] satisfies BalancerConfig[];

for (const balancer of balancers) {
  test(`1,000 requests get their own answers with ${balancer.kind} though one of two loaders breaks off`, async () => {
    const loaders = [serveEcho(), serveEcho()];
    const now = () => performance.now();
    const pool = createPool({
      service: "echo",
      endpoints: loaders.map(({ port }) => ({ url: `http://127.0.0.1:${port}`, weight: 1 })),
      balancer: createBalancer(balancer, Math.random),
      outlier: { now, random: Math.random },
    });
    using client = createLoaderClient();
    const { signal } = new AbortController();
    const budget = createRetryBudget({ now });
    const sids = Array.from({ length: 1000 }, (_, index) => `s${index}`);
    const left = sids.values();
    const wrong: string[] = [];
    let answered = 0;
    const worker = async (): Promise<void> => {
      for (const sid of left) {
        const request = create(InferRequestSchema, { service: "echo", sid, parts: [{ name: sid }] });
        const options = { key: sid, deadline: now() + 20_000, signal, budget, client, now };
        const answer = await dispatch(pool, request, options);
        if (answer.sid !== sid || answer.parts[0]?.name !== sid) wrong.push(sid);
        answered += 1;
        if (answered === 300) await loaders[0]?.stop(true);
      }
    };
    await Promise.all(Array.from({ length: 32 }, worker));
    await loaders[1]?.stop(true);
    expect(wrong).toEqual([]);
    expect(answered).toBe(1000);
    expect(pool.endpoints().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
  });
}
