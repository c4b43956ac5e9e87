import { describe, expect, test } from "bun:test";
import type { AppLimits } from "../../config/admission.ts";
import { ServingError } from "../../proto/errors.ts";
import { type Admission, createAdmission, createOpenAdmission } from "./admission.ts";
import { appFromConfig } from "./app-rights.ts";
import { createMemoryLimits } from "./memory-limits.ts";
import { requestOf } from "./test-signer.ts";

const digestOfHi = "SHA-256=j0NDRmSPa5bfid2pAcUXaxCm2Dlh3TwayItZstwyeqQ=";

/** Admission for an app that a header names, with everything it was told to count. */
function start(limits: AppLimits = {}) {
  const app = appFromConfig({
    id: "123",
    services: ["mmocr"],
    modelControl: false,
    keys: [],
    signatureKeys: [],
    limits,
  });
  const decisions: string[] = [];
  let open = 0;
  const credential = { kind: "key", hash: "" } as const;
  const admission = createAdmission({
    credentials: () => ({
      async identify(request) {
        if (request.header("x-app") === null) throw new ServingError("UNAUTHENTICATED", "nobody");
        return { app, credential, digest: request.header("digest") ?? undefined };
      },
      appOf: (identity) => identity.app,
    }),
    limits: createMemoryLimits(() => 0),
    maxBodyBytes: 1000,
    maxPriority: 50,
    metrics: {
      decided: (id, decision) => decisions.push(`${id} ${decision}`),
      opened: () => {
        open += 1;
      },
      closed: () => {
        open -= 1;
      },
    },
  });
  return { admission, decisions, open: () => open };
}

const admit = async (admission: Admission, headers: Readonly<Record<string, string>> = {}, service = "mmocr") => {
  const caller = await admission(requestOf("POST", "/mmocr", { "x-app": "yes", ...headers }));
  return await caller.admit({ service, kind: "call" });
};

describe("admission", () => {
  test("lets an app through to its service, and counts it once when it is over", async () => {
    const { admission, decisions, open } = start();
    const ticket = await admit(admission);
    const admitted = await ticket.accept("{}");
    expect(admitted.nameApp({ app_id: "123", uid: "u" })).toEqual({ app_id: "123", uid: "u" });
    expect([decisions, open()]).toEqual([[], 1]);
    ticket[Symbol.dispose]();
    ticket[Symbol.dispose]();
    expect([decisions, open()]).toEqual([["123 admitted"], 0]);
  });

  test("names the app in a header that does not, and refuses one that names another", async () => {
    const { admission, decisions } = start();
    using ticket = await admit(admission);
    const { nameApp } = await ticket.accept("{}");
    for (const header of [{}, { app_id: null }, { app_id: "" }, { appid: "123" }, { app_id: 123 }]) {
      expect(nameApp(header).app_id).toBe("123");
    }
    for (const header of [
      { app_id: "124" },
      { appid: "124" },
      { app_id: "123", appid: "124" },
      { app_id: ["123", "4"] },
    ]) {
      expect(() => nameApp(header)).toThrow(expect.objectContaining({ reason: "APP_ID_MISMATCH" }));
    }
    ticket[Symbol.dispose]();
    expect(decisions).toEqual(["123 app-mismatch"]);
  });

  test("refuses a caller without a credential, and a service that the app may not call", async () => {
    const { admission, decisions, open } = start();
    await expect((async () => admission(requestOf("POST", "/", {})))()).rejects.toMatchObject({
      reason: "UNAUTHENTICATED",
    });
    await expect(admit(admission, {}, "echo")).rejects.toMatchObject({
      reason: "PERMISSION_DENIED",
      message: "the app may not call service 'echo'",
    });
    expect([decisions, open()]).toEqual([[" unauthenticated", "123 denied"], 0]);
  });

  test("refuses a body that is not the signed one", async () => {
    const { admission, decisions } = start();
    using ticket = await admit(admission, { digest: digestOfHi });
    await expect((async () => ticket.accept("hi!"))()).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    await ticket.accept("hi");
    ticket[Symbol.dispose]();
    expect(decisions).toEqual(["123 unauthenticated"]);
  });

  test("refuses with the limit that is used up and the time to wait", async () => {
    const { admission, decisions } = start({ requestsPerSecond: 1, concurrentCalls: 1 });
    const ticket = await admit(admission);
    await expect(admit(admission)).rejects.toMatchObject({ reason: "RATE_LIMITED", retryAfterMs: undefined });
    ticket[Symbol.dispose]();
    await expect(admit(admission)).rejects.toMatchObject({ reason: "RATE_LIMITED", retryAfterMs: 1000 });
    expect(decisions).toEqual(["123 calls", "123 admitted", "123 requests"]);
  });

  test("charges what a request declares before its body is read, and the rest when it is there", async () => {
    const limits = { bytesPerSecond: 100 };
    const declared = start(limits).admission;
    (await admit(declared, { "content-length": "100" }))[Symbol.dispose]();
    await expect(admit(declared, { "content-length": "100" })).rejects.toMatchObject({ reason: "RATE_LIMITED" });

    // What nobody would take is not charged for, and what is no number is not believed.
    const impossible = start(limits).admission;
    (await admit(impossible, { "content-length": "900000000000" }))[Symbol.dispose]();
    await expect(admit(impossible)).rejects.toMatchObject({ retryAfterMs: 9010 });
    const senseless = start(limits).admission;
    for (const length of ["-5", "abc", "", "1e9"]) {
      (await admit(senseless, { "content-length": length }))[Symbol.dispose]();
    }

    const undeclared = start(limits).admission;
    using first = await admit(undeclared);
    using second = await admit(undeclared);
    await first.accept("x".repeat(60) + "ü".repeat(20));
    await expect((async () => second.accept("x"))()).rejects.toMatchObject({
      reason: "RATE_LIMITED",
      retryAfterMs: 10,
    });
  });

  test("gives an app the priority that it may have, and none above the gateway's own", async () => {
    const maxPriorityWith = async (limits: AppLimits) => {
      using ticket = await admit(start(limits).admission);
      return (await ticket.accept("")).maxPriority;
    };
    expect(await maxPriorityWith({})).toBe(0);
    expect(await maxPriorityWith({ maxPriority: -7 })).toBe(-7);
    expect(await maxPriorityWith({ maxPriority: 7 })).toBe(7);
    expect(await maxPriorityWith({ maxPriority: 100 })).toBe(50);
  });

  test("charges the chunks of a session", async () => {
    const { admission, decisions } = start({ bytesPerSecond: 100, concurrentSessions: 1 });
    const caller = await admission(requestOf("GET", "/mmocr", { "x-app": "yes" }));
    const ticket = await caller.admit({ service: "mmocr", kind: "session" });
    await expect((async () => caller.admit({ service: "mmocr", kind: "session" }))()).rejects.toMatchObject({
      reason: "RATE_LIMITED",
    });
    const admitted = await ticket.accept("");
    await admitted.spend(100);
    await expect((async () => admitted.spend(1))()).rejects.toMatchObject({ reason: "RATE_LIMITED" });
    ticket[Symbol.dispose]();
    expect(decisions).toEqual(["123 sessions", "123 bytes"]);
  });
});

test("createOpenAdmission() lets everybody through, and answers at once", () => {
  const caller = createOpenAdmission(100)(requestOf("POST", "/", {}));
  if (caller instanceof Promise) throw new Error("it must not wait");
  const ticket = caller.admit({ service: "any", kind: "call" });
  if (ticket instanceof Promise) throw new Error("it must not wait");
  const admitted = ticket.accept("");
  if (admitted instanceof Promise) throw new Error("it must not wait");
  const header = { app_id: "7" };
  expect(admitted.nameApp(header)).toBe(header);
  expect(caller.app).toBe("");
});
