import { afterEach, describe, expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { InferResponseSchema } from "../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../proto/gen/athena/v1/part_pb.ts";
import { optionsFromArguments } from "./arguments.ts";
import { run } from "./run.ts";
import { createTarget, type Protocol, type Target } from "./target.ts";

const servers: Bun.Server<undefined>[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop(true)));
});

function serve(answer: (request: Request) => Response | Promise<Response>): string {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  servers.push(server);
  return `http://127.0.0.1:${server.port}`;
}

const payload = new TextEncoder().encode("the payload");

function targetOf(url: string, protocol: Protocol = "http-json"): Target {
  const echo = { service: "echo", input: "data", type: "text", expectEcho: true } as const;
  return createTarget({ url, unix: undefined, protocol, payload, ...echo });
}

const echoJson = () => Response.json({ payload: { data: { text: payload.toBase64() } } });

describe("a closed loop", () => {
  test("counts right answers and ends after the number of requests that was asked for", async () => {
    const result = await run(
      targetOf(serve(echoJson)),
      { kind: "closed", concurrency: 4 },
      { durationMs: 20_000, requests: 100 },
    );
    expect(result.outcomes).toEqual({ "200": 100 });
    expect(result.latencyMs.max).toBeGreaterThan(0);
  });

  test("tells errors by status and code, and answers without the payload from right ones", async () => {
    let next = 0;
    const url = serve(() => {
      next += 1;
      if (next % 2 === 0) return Response.json({ header: { code: 10110 } }, { status: 429 });
      return Response.json({ payload: {} });
    });
    const result = await run(targetOf(url), { kind: "closed", concurrency: 1 }, { durationMs: 20_000, requests: 10 });
    expect(result.outcomes).toEqual({ "429 10110": 5, "wrong answer": 5 });
  });

  test("speaks Connect", async () => {
    const part = { name: "data", type: PartType.TEXT, data: payload };
    const body = toBinary(InferResponseSchema, create(InferResponseSchema, { parts: [part] }));
    const url = serve(() => new Response(body, { headers: { "content-type": "application/proto" } }));
    const result = await run(
      targetOf(url, "connect"),
      { kind: "closed", concurrency: 2 },
      { durationMs: 20_000, requests: 10 },
    );
    expect(result.outcomes).toEqual({ "200": 10 });
  });

  test("counts refused connections", async () => {
    const result = await run(
      targetOf("http://127.0.0.1:1"),
      { kind: "closed", concurrency: 1 },
      { durationMs: 20_000, requests: 3 },
    );
    expect(result.outcomes).toEqual({ "connection failed": 3 });
  });
});

describe("an open loop", () => {
  test("sees a stall in every request of that time, not only in the one that was under way", async () => {
    const release = Promise.withResolvers<void>();
    let count = 0;
    const url = serve(async () => {
      count += 1;
      // The first request starts the stall; everything that is sent during it waits.
      if (count === 1) setTimeout(() => release.resolve(), 500);
      await release.promise;
      return echoJson();
    });
    const load = { kind: "open", ratePerSecond: 200, maxInFlight: 1000 } as const;
    const result = await run(targetOf(url), load, { durationMs: 1000 });
    expect(result.outcomes).toEqual({ "200": 200 });
    expect(result.latencyMs.p50).toBeGreaterThan(1);
    expect(result.latencyMs.p90).toBeGreaterThan(300);
  });

  test("drops, and counts, what would be more under way than it may", async () => {
    const release = Promise.withResolvers<void>();
    const url = serve(async () => {
      await release.promise;
      return echoJson();
    });
    setTimeout(() => release.resolve(), 300);
    const load = { kind: "open", ratePerSecond: 1000, maxInFlight: 5 } as const;
    const { outcomes } = await run(targetOf(url), load, { durationMs: 200 });
    expect(outcomes).toEqual({ "200": 5, dropped: 195 });
  });
});

describe("the command line", () => {
  test("names the argument that is wrong", async () => {
    await expect(optionsFromArguments(["--duration", "1000"])).rejects.toThrow("--duration: expected a number");
    await expect(optionsFromArguments(["--protocol", "smtp"])).rejects.toThrow("--protocol");
    await expect(optionsFromArguments(["--concurrency", "x"])).rejects.toThrow("--concurrency");
  });

  test("loads this machine only", async () => {
    for (const url of ["http://10.0.0.1", "http://example.com", "https://127.0.0.1", "http://127.0.0.1.example.com"]) {
      await expect(optionsFromArguments(["--url", url])).rejects.toThrow("--url");
    }
  });
});
