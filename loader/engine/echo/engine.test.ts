import { describe, expect, test } from "bun:test";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { describeEngine } from "../engine.cases.ts";
import type { EngineInput } from "../engine.ts";
import { createEchoEngine } from "./engine.ts";

const never = new AbortController().signal;
const part: Part = {
  $typeName: "athena.v1.Part",
  name: "data",
  type: PartType.TEXT,
  attributes: {},
  data: new Uint8Array([1]),
};

function requestOf(parameters: Record<string, string> = {}): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "echo",
    version: "",
    sid: "s",
    headers: {},
    parameters,
    expects: [],
    parts: [part],
    resourceIds: [],
    priority: 0,
  };
}

describeEngine("echo", {
  create: createEchoEngine,
  quick: () => requestOf(),
  slow: () => requestOf({ delayMs: "60000" }),
});

describe("createEchoEngine()", () => {
  test("gives back what it gets, and fails as it is asked to", async () => {
    const engine = createEchoEngine();
    await engine.start(never);
    expect(await engine.infer(requestOf(), never)).toEqual({ parts: [part], status: Status.ONCE });
    await expect(engine.infer(requestOf({ failWith: "error" }), never)).rejects.toMatchObject({
      reason: "ENGINE_FAILED",
    });
    await expect(engine.infer(requestOf({ failWith: "refusal" }), never)).rejects.toMatchObject({
      reason: "INVALID_INPUT",
    });
  });

  test("answers each chunk of a session in its place", async () => {
    const engine = createEchoEngine();
    await engine.start(never);
    async function* inputs(): AsyncGenerator<EngineInput> {
      for (let i = 0; i < 3; i += 1) yield { parts: [part], last: i === 2 };
    }
    const statuses: Status[] = [];
    for await (const { status } of engine.stream(requestOf(), inputs(), never)) statuses.push(status);
    expect(statuses).toEqual([Status.BEGIN, Status.CONTINUE, Status.END]);
  });
});
