import { afterEach, describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { gatewayConfigSchema } from "../config/gateway.ts";
import { ServingError } from "../proto/errors.ts";
import { DescribeServiceResponseSchema, ServiceState } from "../proto/gen/athena/v1/service_pb.ts";
import type { LoaderClient } from "./client/loader-client.ts";
import { createRetryBudget } from "./client/retry-budget.ts";
import { planService, type ServicePlan } from "./configuration/service-plan.ts";
import { mmocrDefinition } from "./schema/mmocr.cases.ts";
import { type ServedService, type ServiceEnvironment, serveService } from "./served-service.ts";

const probes = { intervalMs: 600_000, timeoutMs: 500 };
const running: ServedService[] = [];

afterEach(() => {
  for (const service of running.splice(0)) service[Symbol.dispose]();
});

function plan(endpoints: readonly string[], more: object = {}): ServicePlan {
  const config = gatewayConfigSchema.parse({ services: [{ id: "mmocr", endpoints, ...more }] });
  return planService(config.services[0] ?? expect.unreachable(), undefined);
}

/** Loaders of which those with "down" in their address cannot be reached. */
function environment(described: string[] = []): ServiceEnvironment {
  const refuse = (): never => expect.unreachable("only probes are expected");
  const client: LoaderClient = {
    async describe({ url }) {
      described.push(url);
      if (url.includes("down")) throw new ServingError("ENDPOINT_UNREACHABLE", "down");
      return create(DescribeServiceResponseSchema, { definition: mmocrDefinition(), state: ServiceState.READY });
    },
    infer: refuse,
    inferStream: refuse,
    listServices: refuse,
    loadService: refuse,
    unloadService: refuse,
    check: refuse,
    [Symbol.dispose]() {},
  };
  const now = () => 0;
  return {
    client,
    createBudget: () => createRetryBudget({ now }),
    now,
    random: Math.random,
    onBrokenDefinition: refuse,
  };
}

async function start(first: ServicePlan, described?: string[]): Promise<ServedService> {
  const service = serveService(first, probes, environment(described));
  running.push(service);
  await service.settled();
  return service;
}

const statesOf = (service: ServedService) =>
  Object.fromEntries(service.pool.members().map(({ url, state, weight }) => [url, `${state} ${weight}`]));

describe("a service whose plan changes", () => {
  test("keeps what is known of the endpoints that stay, and calls no new one that cannot be reached", async () => {
    const service = await start(plan(["http://a", "http://b", "http://c"]));
    const [a, b] = service.pool.endpoints();
    if (a === undefined || b === undefined) throw new Error("no endpoints");
    service.pool.setHealthy(b, false);
    a.inFlight = 3;
    const next = plan(["http://b", "http://down", "http://d"], { timeoutMs: 5 });
    const takeOver = await service.prepare(next, probes);
    expect(statesOf(service)).toEqual({ "http://a": "ready 1", "http://b": "unhealthy 1", "http://c": "ready 1" });
    const changed = takeOver();
    expect(statesOf(changed)).toEqual({
      "http://b": "unhealthy 1",
      "http://down": "unhealthy 1",
      "http://d": "ready 1",
    });
    expect(changed.pool.endpoints()[0]).toBe(b);
    expect(changed.target.timeoutMs).toBe(5);
    // A request that began before keeps to what it began with.
    expect(service.target.timeoutMs).toBe(60_000);
    expect(changed.target.compiled()).toBe(service.target.compiled() ?? expect.unreachable());
  });

  test("leaves the pool alone when only something else changes", async () => {
    const service = await start(plan(["http://a"]));
    service.pool.setEndpoints([{ url: "http://found-elsewhere", weight: 1 }]);
    const changed = (await service.prepare(plan(["http://a"], { timeoutMs: 5 }), probes))();
    expect(Object.keys(statesOf(changed))).toEqual(["http://found-elsewhere"]);
  });

  test("is probed as the new settings say, by the same pool", async () => {
    const described: string[] = [];
    const service = await start(plan(["http://a"]), described);
    expect(described).toEqual(["http://a"]);
    const changed = (await service.prepare(service.plan, { intervalMs: 5, timeoutMs: 500 }))();
    running.push(changed);
    while (described.length < 4) await Bun.sleep(1);
    expect(changed.pool).toBe(service.pool);
    expect(changed.status()).toEqual({ service: "mmocr", ready: true });
  });

  test("is balanced anew from then on", async () => {
    const service = await start(plan(["http://a", "http://b"]));
    const key = { client: "address" };
    const changed = (
      await service.prepare(plan(["http://a", "http://b"], { balancer: { kind: "consistent-hash", key } }), probes)
    )();
    const pick = (): string | undefined => {
      using lease = changed.pool.acquire({ key: "k", tried: new Set() });
      return lease?.endpoint.url;
    };
    expect(new Set([pick(), pick()]).size).toBe(1);
    expect(changed.target.hashKey).toEqual({ client: "address" });
  });
});
