import { afterEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { Registry } from "prom-client";
import { admissionSchema } from "../../config/admission.ts";
import { parseConfig } from "../../config/load.ts";
import { createLogger } from "../../config/logger.ts";
import { readAdmission } from "../../config/read-admission.ts";
import { type RunningAdmission, startAdmission } from "./start.ts";
import { requestOf } from "./test-signer.ts";

const keyOf = (id: string) => `ak_${id}_${"a".repeat(43)}`;
const hashOf = (id: string) => `${id}:${createHash("sha256").update(keyOf(id)).digest("hex")}`;
const appOf = (name: string, id: string, limits = "{}", services = "'*'") =>
  `{ id: ${name}, services: [${services}], keys: ["${hashOf(id)}"], limits: ${limits} }`;
const configOf = (...apps: string[]) =>
  readAdmission(parseConfig(`apps: [${apps.join(", ")}]`, admissionSchema, "admission"), "/");
const one = "00112233aabb";
const two = "ccddeeff0011";

const running: RunningAdmission[] = [];
afterEach(() => {
  for (const admission of running.splice(0)) admission[Symbol.dispose]();
});

async function start(...apps: string[]) {
  const registry = new Registry();
  const admission = await startAdmission(configOf(...apps), {
    logger: createLogger("gateway"),
    registry,
    maxBodyBytes: 1000,
    maxPriority: 100,
    now: () => 0,
    wallClock: () => 0,
  });
  running.push(admission);
  const callerOf = async (id: string) => admission.admission(requestOf("POST", "/", { "x-api-key": keyOf(id) }));
  const call = async (id: string, service = "echo") => (await callerOf(id)).admit({ service, kind: "call" });
  const reload = async (...next: string[]) => {
    using prepared = await admission.prepare(configOf(...next));
    return prepared.takeOver();
  };
  return { admission, registry, callerOf, call, reload };
}

const refusal = (reason: string) => expect.objectContaining({ reason });

describe("apps that change", () => {
  test("come, go and get other rights between two requests", async () => {
    const { call, reload } = await start(appOf("one", one), appOf("stays", "000000000000"));
    await call(one);
    await expect(call(two)).rejects.toEqual(refusal("UNAUTHENTICATED"));
    expect(await reload(appOf("one", one, "{}", "mmocr"), appOf("two", two), appOf("stays", "000000000000"))).toEqual({
      added: ["two"],
      removed: [],
      changed: ["one"],
    });
    await expect(call(one)).rejects.toEqual(refusal("PERMISSION_DENIED"));
    await call(two);
    expect(await reload(appOf("two", two))).toEqual({ added: [], removed: ["one", "stays"], changed: [] });
    await expect(call(one)).rejects.toEqual(refusal("UNAUTHENTICATED"));
  });

  test("keep what they have used, whether their limits change or not", async () => {
    const { call, reload } = await start(appOf("one", one, "{ requestsPerSecond: 1, requestBurst: 2 }"));
    await call(one);
    await call(one);
    for (const burst of [2, 3]) {
      await reload(appOf("one", one, `{ requestsPerSecond: 1, requestBurst: ${burst} }`), appOf("two", two));
      if (burst === 3) await call(one);
      await expect(call(one)).rejects.toEqual(refusal("RATE_LIMITED"));
    }
  });

  test("count what is open when they get a limit that they had not", async () => {
    const { call, reload } = await start(appOf("one", one));
    const open = [await call(one), await call(one)];
    await reload(appOf("one", one, "{ concurrentCalls: 2 }"));
    await expect(call(one)).rejects.toEqual(refusal("RATE_LIMITED"));
    open[0]?.[Symbol.dispose]();
    await call(one);
    await expect(call(one)).rejects.toEqual(refusal("RATE_LIMITED"));
  });

  test("refuse the next session of a connection that was opened before, and not the one that runs", async () => {
    const { callerOf, reload } = await start(appOf("one", one));
    const caller = await callerOf(one);
    const wanted = { service: "echo", kind: "session" } as const;
    using ticket = await caller.admit(wanted);
    await reload(appOf("two", two));
    const admitted = await ticket.accept("x");
    await admitted.spend(5);
    await expect((async () => caller.admit(wanted))()).rejects.toEqual(refusal("UNAUTHENTICATED"));
  });

  test("leave nothing in the metrics once they have nothing open", async () => {
    const { registry, call, reload } = await start(appOf("one", one));
    const ticket = await call(one);
    await reload();
    expect(await registry.metrics()).toContain('athena_gateway_app_open{app="one",kind="call"} 1');
    ticket[Symbol.dispose]();
    await reload();
    expect(await registry.metrics()).not.toContain('app="one"');
  });

  test("stay as they are while others only get ready", async () => {
    const { admission, call } = await start(appOf("one", one));
    {
      using _ = await admission.prepare(configOf());
      await call(one);
    }
    await call(one);
  });
});
