import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { describeEngine } from "../../loader/engine/engine.cases.ts";
import type { EngineInput } from "../../loader/engine/engine.ts";
import { createRemoteEngine } from "../../loader/engine/remote/engine.ts";
import { never, requestOf, shown, textOf } from "../../loader/engine/remote/test-server.ts";
import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { type ModelServer, startLitserve } from "../fixtures/remote/model-servers.ts";

/* The remote engine against LitServe's implementation of the OpenAI protocol. */

let litserve: ModelServer;

beforeAll(async () => {
  litserve = await startLitserve();
});

afterAll(() => litserve.stop());

function createEngine() {
  return createRemoteEngine({
    service: "chat",
    declared: {},
    protocol: "openai",
    url: `${litserve.httpUrl}/v1`,
    model: "parrot",
    systemPrompt: "Be brief.",
    options: { max_tokens: 9 },
    healthPath: "/health",
    headers: {},
    idleTimeoutMs: 10_000,
    maxResponseBytes: 1_000_000,
    health: { intervalMs: 1000, timeoutMs: 5000, failures: 3 },
    startTimeoutMs: 10_000,
    onHealth: () => {},
    onProgress: () => {},
  });
}

const outputs = { result: PartType.TEXT, usage: PartType.TEXT };
const say = (text: string, parameters: Record<string, string> = {}): InferRequest =>
  requestOf([textOf("prompt", text)], outputs, parameters);

describeEngine("remote, as a chat,", { create: createEngine, quick: () => say("hello"), slow: () => say("wait") });

describe("a LitServe chat", () => {
  test("is a service that tells its inputs, outputs and parameters", async () => {
    const engine = createEngine();
    const told = await engine.start(never);
    expect(told?.inputs.map(({ name, required }) => [name, required])).toEqual([
      ["messages", false],
      ["prompt", false],
    ]);
    expect(told?.outputs.map(({ name }) => name)).toEqual(["result", "reasoning", "usage"]);
    expect(JSON.parse(told?.parametersSchema ?? "")).toMatchObject({ properties: { temperature: { type: "number" } } });
    expect(told).toMatchObject({ once: true, stream: true });
    await engine.stop();
  });

  test("answers word by word, and at once", async () => {
    const engine = createEngine();
    await engine.start(never);
    async function* inputs(): AsyncGenerator<EngineInput> {
      yield { parts: say("grüße aus 世界").parts, last: true };
    }
    const seen = await Array.fromAsync(engine.stream(say(""), inputs(), never));
    expect(seen.slice(0, -1).map(shown)).toEqual([
      "BEGIN result=grüße ",
      "CONTINUE result=aus ",
      "CONTINUE result=世界 ",
    ]);
    const last = seen.at(-1);
    expect(last?.parts[0]?.attributes).toEqual({ finish_reason: "stop" });
    expect(JSON.parse(new TextDecoder().decode(last?.parts[1]?.data))).toMatchObject({
      completion_tokens: 3,
    });
    expect(shown(await engine.infer(say("a b"), never))).toStartWith("ONCE result=a b ");
    await engine.stop();
  });

  test("gets the system prompt, the options and the parameters with their types", async () => {
    const engine = createEngine();
    await engine.start(never);
    const { parts } = await engine.infer(say("settings", { temperature: "0.25", stop: "a;b" }), never);
    expect(JSON.parse(new TextDecoder().decode(parts[0]?.data))).toEqual({
      system: ["Be brief."],
      temperature: 0.25,
      max_tokens: 9,
      stop: ["a", "b"],
    });
    await engine.stop();
  });

  test("tells an error in the middle of its answer, and what it refuses before", async () => {
    const engine = createEngine();
    await engine.start(never);
    await expect(engine.infer(say("a fail b"), never)).rejects.toMatchObject({
      reason: "ENGINE_FAILED",
      message: "the model server of service 'chat' failed: Internal Server Error",
    });
    const strange = requestOf([textOf("messages", '[{"role":"user","content":5}]')], outputs);
    await expect(engine.infer(strange, never)).rejects.toMatchObject({ reason: "INVALID_INPUT" });
    await engine.stop();
  });
});
