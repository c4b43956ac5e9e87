import { describe, expect, test } from "bun:test";
import { ServingError } from "../proto/errors.ts";
import { createEndpoint } from "./pool/endpoint.ts";
import { controlService } from "./service-control.ts";
import type { Endpoint } from "./types.ts";

const bounds = { signal: new AbortController().signal, timeoutMs: 1000 };

/** Loaders by their addresses: what each answers a request to load or unload with, and what the pool was told then. */
function start(loaders: Readonly<Record<string, ServingError | "done" | "done, but not ready">>) {
  const told: string[] = [];
  const endpoints = Object.keys(loaders).map((url) => createEndpoint(url, 1));
  const act = async ({ url }: Endpoint, service: string): Promise<void> => {
    expect(service).toBe("mmocr");
    const result = loaders[url];
    if (result instanceof ServingError) throw result;
  };
  const service = {
    pool: {
      service: "mmocr",
      endpoints: () => endpoints,
      setHealthy: ({ url }: Endpoint, healthy: boolean) => told.push(`${url} ${healthy ? "up" : "down"}`),
    },
    client: { loadService: act, unloadService: act },
    probe: async ({ url }: Endpoint) => {
      if (loaders[url] !== "done") throw new Error("the probe failed");
    },
    probeTimeoutMs: 1000,
    settled: async () => void told.push("settled"),
  };
  return { service, told };
}

const missing = new ServingError("SERVICE_NOT_FOUND", "service 'mmocr' is not loaded");

describe("a service that is loaded on its loaders", () => {
  test("may be called on each as soon as that says so, and not before a probe from earlier is over", async () => {
    const { service, told } = start({ a: "done", b: "done, but not ready" });
    await controlService("load", service, bounds);
    expect(told.sort()).toEqual(["a up", "b down", "settled"]);
  });

  test("stays with those that have it when another one fails, whose reason is told with how many have it", async () => {
    const busy = new ServingError("SERVICE_BUSY", "service 'mmocr' is being loaded already");
    const { service, told } = start({ a: busy, b: "done" });
    const failed = controlService("load", service, bounds);
    await expect(failed).rejects.toThrow("is being loaded already (1 of 2 loaders have loaded it)");
    await expect(failed).rejects.toMatchObject({ reason: "SERVICE_BUSY" });
    expect(told.sort()).toEqual(["b up", "settled"]);
  });
});

describe("a service that is taken out of its loaders", () => {
  test("gets no more calls, also where one of them did not have it", async () => {
    const { service, told } = start({ a: "done", b: missing });
    await controlService("unload", service, bounds);
    expect(told.sort()).toEqual(["a down", "settled"]);
  });

  test("is not found when none has it", async () => {
    const { service } = start({ a: missing });
    await expect(controlService("unload", service, bounds)).rejects.toBe(missing);
  });
});
