import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ServingError } from "../../proto/errors.ts";
import { LoadResourceRequestSchema, UnloadResourceRequestSchema } from "../../proto/gen/athena/v1/resource_pb.ts";
import { ServiceDefinitionSchema, ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { EngineResources } from "../engine/engine.ts";
import { createTestResources, textResource } from "../engine/test-resources.ts";
import { createScheduler } from "../scheduler/scheduler.ts";
import { createResources, type ResourceBounds } from "./resources.ts";
import { createCatalog, type Served } from "./served.ts";

const never: ResourceBounds = { signal: new AbortController().signal, timeoutMs: undefined };
const now = () => performance.now();

function servedWith(resources: EngineResources | undefined, state = ServiceState.READY): Served {
  const unused = (): never => {
    throw new Error("not for these tests");
  };
  return {
    definition: create(ServiceDefinitionSchema, { id: "s", version: "v1" }),
    engine: { start: unused, infer: unused, stream: unused, stop: unused, resources },
    scheduler: createScheduler({ service: "s", total: 1, best: 1, maxQueueLength: 1, now }),
    session: { idleTimeoutMs: 1, totalTimeoutMs: 1, holeTimeoutMs: 1, maxWaitingChunks: 1 },
    state: () => ({ state, reason: "" }),
  };
}

function build(resources: EngineResources | undefined = createTestResources(), state?: ServiceState) {
  const services = new Map([["s", servedWith(resources, state)]]);
  let isDraining = false;
  let lastId = 0;
  const api = createResources({
    catalog: createCatalog(services),
    isDraining: () => isDraining,
    newId: () => lastId++,
    now,
  });
  const load = (resourceId = 0, parts = textResource("x"), bounds = never) =>
    api.load(create(LoadResourceRequestSchema, { service: "s", resourceId, parts }), bounds);
  const unload = (resourceId: number) =>
    api.unload(create(UnloadResourceRequestSchema, { service: "s", resourceId }), never);
  return { services, api, load, unload, drain: () => (isDraining = true) };
}

const reasonOf = async (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error) => ServingError.from(error).reason,
  );

describe("a resource", () => {
  test("has the id that was asked for, or one that is free and not 0", async () => {
    const { api, load } = build();
    expect(await load(1)).toBe(1);
    expect([await load(), await load()]).toEqual([2, 3]);
    expect(api.list("s").map(({ id, bytes }) => [id, bytes])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
  });

  test("is a copy of what came, without the rest of the request's buffer", async () => {
    const { api, load } = build();
    const buffer = new Uint8Array(1_000_000);
    const parts = textResource("").map((part) => ({ ...part, data: buffer.subarray(10, 20) }));
    await load(1, parts);
    expect(api.list("s")[0]?.parts[0]?.data.buffer.byteLength).toBe(10);
  });

  test("has parts, few of them, with descriptions of a bounded length", async () => {
    const { load } = build();
    const [part] = textResource("x");
    if (part === undefined) throw new Error("no part");
    expect(await reasonOf(load(1, []))).toBe("SCHEMA_VIOLATION");
    expect(
      await reasonOf(
        load(
          1,
          Array.from({ length: 65 }, () => part),
        ),
      ),
    ).toBe("SCHEMA_VIOLATION");
    expect(await reasonOf(load(1, textResource("x", { patch_id: "y".repeat(70_000) })))).toBe("PAYLOAD_TOO_LARGE");
  });

  test("needs a service that is there, takes resources, is ready and does not drain", async () => {
    const { api, drain, load, unload } = build();
    expect(() => api.list("other")).toThrow("service 'other' not found");
    await load(1);
    drain();
    expect(await reasonOf(load(1))).toBe("DRAINING");
    expect(await reasonOf(unload(1))).toBe("DRAINING");
    const none = createResources({
      catalog: createCatalog(new Map([["s", servedWith(undefined)]])),
      isDraining: () => false,
      newId: () => 1,
      now,
    });
    expect(() => none.list("s")).toThrow("service 's' takes no personal resources");
    expect(await reasonOf(build(createTestResources(), ServiceState.LOADING).load(1))).toBe("SERVICE_NOT_READY");
  });

  test("is given up at the caller's deadline", async () => {
    const { load } = build(
      createTestResources((_what, _id, signal) => {
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      }),
    );
    const bounds = { signal: never.signal, timeoutMs: 10 };
    expect(await reasonOf(load(1, textResource("x"), bounds))).toBe("DEADLINE_EXCEEDED");
  });
});

describe("a service that is replaced by its new version while a resource", () => {
  test("is loaded has it in the new one, whether the old one had it or not", async () => {
    const next = createTestResources();
    for (const fails of [false, true]) {
      const { services, load } = build(
        createTestResources(async () => {
          services.set("s", servedWith(next));
          if (fails) throw new ServingError("ENGINE_CRASHED", "stopped");
        }),
      );
      const id = fails ? 2 : 1;
      expect(await load(id)).toBe(id);
      expect(next.find(id)?.bytes).toBe(1);
    }
  });

  test("is unloaded has it no more, whether the new one was given it or not", async () => {
    for (const isGiven of [false, true]) {
      const next = createTestResources();
      if (isGiven) await next.load(1, textResource("x"), never.signal);
      const { services, load, unload } = build(
        createTestResources(async (what) => {
          if (what === "unload") services.set("s", servedWith(next));
        }),
      );
      await load(1);
      await unload(1);
      expect(next.list()).toEqual([]);
      expect(await reasonOf(unload(1))).toBe("RESOURCE_NOT_FOUND");
    }
  });
});
