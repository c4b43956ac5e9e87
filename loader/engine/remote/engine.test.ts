import { afterEach, describe, expect, test } from "bun:test";
import type { ServingError } from "../../../proto/errors.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { Engine } from "../engine.ts";
import { createRemoteEngine, type RemoteEngineOptions } from "./engine.ts";
import { httpAnswer, never, requestOf, shown, startWireServer, textOf, type WireServer } from "./test-server.ts";

let server: WireServer | undefined;
let engine: Engine | undefined;

afterEach(async () => {
  await engine?.stop();
  server?.stop();
});

/** A server of the Open Inference Protocol whose answers the test may change while it runs. */
async function modelServer() {
  const tensor = (name: string) => ({ name, datatype: "BYTES", shape: [1] });
  const answers: Record<string, string> = {
    "/v2": httpAnswer(200, `{"name":"scripted","extensions":[]}`),
    "/v2/health/ready": httpAnswer(200, ""),
    "/v2/models/shout": httpAnswer(200, JSON.stringify({ inputs: [tensor("text")], outputs: [tensor("loud")] })),
    "/v2/models/shout/ready": httpAnswer(200, ""),
    "/v2/models/shout/infer": httpAnswer(200, JSON.stringify({ outputs: [{ ...tensor("loud"), data: ["HELLO"] }] })),
  };
  server = await startWireServer(({ path }, socket) => {
    const answer = answers[path];
    if (answer === undefined) socket.end(httpAnswer(404, `{"error":"no such path"}`));
    else if (answer !== "silence") socket.end(answer);
  });
  return { answers, url: server.url, server };
}

function engineAt(url: string, more: object = {}) {
  const health: string[] = [];
  const progress: string[] = [];
  let onChange: () => void = () => {};
  engine = createRemoteEngine({
    service: "served",
    declared: {},
    protocol: "oip-http",
    url,
    model: "shout",
    modelVersion: "",
    tensors: "auto",
    headers: {},
    idleTimeoutMs: 1000,
    maxResponseBytes: 10_000,
    health: { intervalMs: 100, timeoutMs: 2000, failures: 2 },
    startTimeoutMs: 2000,
    onProgress(text) {
      progress.push(text);
      onChange();
    },
    onHealth(state) {
      health.push(state.ready ? "ready" : state.reason);
      onChange();
    },
    ...more,
  } as RemoteEngineOptions);
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      onChange = () => {
        if (condition()) resolve();
      };
      onChange();
    });
  return { engine, health, progress, until };
}

/** For a server that does not answer. */
const impatient = { health: { intervalMs: 100, timeoutMs: 100, failures: 2 } };
const request = requestOf([textOf("text", "hello")], { loud: PartType.TEXT });
const errorOf = (call: Promise<unknown>): Promise<ServingError> =>
  call.then(
    () => Promise.reject(new Error("answered")),
    (error) => error,
  );

describe("a remote engine's start", () => {
  for (const [what, path, answer, reason] of [
    [
      "whose model is not ready, as Triton says it",
      "/v2/models/shout/ready",
      httpAnswer(400, ""),
      "the model of service 'served' is not ready",
    ],
    [
      "whose model is not ready, as KServe says it",
      "/v2/models/shout/ready",
      httpAnswer(503, ""),
      "the model of service 'served' is not ready",
    ],
    [
      "that does not have the model",
      "/v2/models/shout/ready",
      httpAnswer(404, `{"error":"unknown"}`),
      "the model server of service 'served' is not ready: unknown",
    ],
    ["that does not answer", "/v2/models/shout/ready", "silence", "no answer within 100 ms"],
    ["that fails while it loads", "/v2", httpAnswer(500, ""), "the model server of service 'served' failed"],
  ] as const) {
    test(`waits for a server ${what}`, async () => {
      const { answers, url } = await modelServer();
      const ready = answers[path] ?? "";
      answers[path] = answer;
      const { engine, progress, until } = engineAt(url, answer === "silence" ? impatient : {});
      const starting = engine.start(never);
      await until(() => progress.length > 0);
      expect(progress).toEqual([`waiting: ${reason}`]);
      answers[path] = ready;
      expect((await starting)?.inputs.map(({ name }) => name)).toEqual(["text"]);
      expect(shown(await engine.infer(request, never))).toBe("ONCE loud=HELLO");
    });
  }

  test("says that the whole server is not ready where it is", async () => {
    const { answers, url } = await modelServer();
    answers["/v2/models/shout/ready"] = answers["/v2/health/ready"] = httpAnswer(503, "");
    const { engine } = engineAt(url, { startTimeoutMs: 100 });
    expect((await errorOf(engine.start(AbortSignal.timeout(100)))).message).toBe(
      "service 'served' was not ready within 100 ms: the model server of service 'served' is not ready",
    );
  });

  test("does not wait for metadata that cannot be read, what service.yaml declares, or a key that is not set", async () => {
    const { answers, url } = await modelServer();
    const declared = { outputs: { quiet: { type: "text" } } };
    expect((await errorOf(engineAt(url, { declared }).engine.start(never))).message).toContain("outputs.quiet is none");
    const headers = { authorization: { variable: "ATHENA_TEST_NOT_SET", prefix: "" } };
    expect((await errorOf(engineAt(url, { headers }).engine.start(never))).message).toContain(
      "'ATHENA_TEST_NOT_SET' is not set",
    );
    answers["/v2/models/shout"] = httpAnswer(200, `{"inputs":[{"name":"text"}]}`);
    expect((await errorOf(engineAt(url).engine.start(never))).message).toContain("its metadata cannot be read");
  });

  test("ends when it is stopped", async () => {
    const { answers, url } = await modelServer();
    answers["/v2/models/shout/ready"] = "silence";
    const { engine } = engineAt(url);
    const starting = errorOf(engine.start(never));
    await engine.stop();
    expect(await starting).toMatchObject({
      reason: "SERVICE_NOT_READY",
      message: "the engine of service 'served' was stopped",
    });
  });
});

describe("a remote engine's server", () => {
  test("that comes back with other tensors stays not ready, and with the old ones is ready", async () => {
    const { answers, url } = await modelServer();
    const { engine, health, until } = engineAt(url);
    await engine.start(never);
    const metadata = answers["/v2/models/shout"] ?? "";
    answers["/v2/models/shout/ready"] = httpAnswer(503, "");
    await until(() => health.length === 1);
    answers["/v2/models/shout"] = metadata.replace("loud", "lout");
    answers["/v2/models/shout/ready"] = httpAnswer(200, "");
    await until(() => health.length === 2);
    answers["/v2/models/shout"] = metadata;
    await until(() => health.length === 3);
    expect(health).toEqual([
      "the model of service 'served' is not ready",
      "the model of service 'served' has other inputs or outputs now: load the service anew",
      "ready",
    ]);
  });

  test("that hangs costs a call its own time and no more, and is not ready after some probes", async () => {
    const { answers, url, server } = await modelServer();
    const { engine, health, until } = engineAt(url, impatient);
    await engine.start(never);
    answers["/v2/models/shout/infer"] = answers["/v2/models/shout/ready"] = "silence";
    const late = AbortSignal.timeout(50);
    expect((await errorOf(engine.infer(request, late))).cause).toMatchObject({ name: "TimeoutError" });
    await server.untilClosed(server.requests.length);
    await until(() => health.length === 1);
    expect(health).toEqual(["no answer to 2 probes"]);
  });

  test("is asked at once when a call finds it gone", async () => {
    const { url, server } = await modelServer();
    const { engine, health, until } = engineAt(url, {
      health: { intervalMs: 3_600_000, timeoutMs: 2000, failures: 2 },
    });
    await engine.start(never);
    server.stop();
    expect(await errorOf(engine.infer(request, never))).toMatchObject({ reason: "SERVICE_NOT_READY" });
    await until(() => health.length === 1);
    expect(health).toEqual(["the model server of service 'served' cannot be reached"]);
  });

  test("that is too busy for one call goes on with others", async () => {
    const { answers, url } = await modelServer();
    const { engine, health } = engineAt(url);
    await engine.start(never);
    const answer = answers["/v2/models/shout/infer"] ?? "";
    answers["/v2/models/shout/infer"] = httpAnswer(503, `{"error":"Exceeds maximum queue size"}`);
    const busy = await errorOf(engine.infer(request, never));
    expect([busy.reason, busy.class.retry]).toEqual(["SERVICE_BUSY", "elsewhere"]);
    answers["/v2/models/shout/infer"] = answer;
    expect(shown(await engine.infer(request, never))).toBe("ONCE loud=HELLO");
    expect(health).toEqual([]);
  });
});
