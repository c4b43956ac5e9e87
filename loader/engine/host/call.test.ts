import { describe, expect, test } from "bun:test";
import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { FrameError } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { createCallTable, execCall } from "./call.ts";
import { type Frame, frameKind } from "./frames.ts";
import { writeFailure, writeResult } from "./messages.ts";

const never = new AbortController().signal;
const request: InferRequest = {
  $typeName: "athena.v1.InferRequest",
  service: "",
  version: "",
  sid: "s",
  headers: {},
  parameters: {},
  expects: [],
  parts: [],
  resourceIds: [],
  priority: 0,
};
const part = (name: string): Part => ({
  $typeName: "athena.v1.Part",
  name,
  type: PartType.TEXT,
  attributes: {},
  data: new Uint8Array([1]),
});
const frame = (kind: number, callId: number, body?: ByteWriter): Frame => ({
  kind,
  callId,
  body: new Uint8Array(Buffer.concat(body?.finish() ?? [])),
});

function build() {
  let now = 0;
  const ended: boolean[] = [];
  const sent: number[] = [];
  const calls = createCallTable({ now: () => now, cancelGraceMs: 100 }, (isAnswered) => void ended.push(isAnswered));
  const exec = (signal = never) => execCall(calls, (pieces) => void sent.push(pieces[0]?.[4] ?? 0), request, signal);
  const pass = (ms: number): void => {
    now += ms;
  };
  return { calls, ended, sent, exec, pass };
}

describe("a once-call", () => {
  test("is answered when its last result is there, with the parts of all", async () => {
    const { calls, ended, exec } = build();
    const answer = exec();
    calls.onFrame(frame(frameKind.result, 1, writeResult({ status: Status.BEGIN, parts: [part("a")] })));
    calls.onFrame(frame(frameKind.result, 1, writeResult({ status: Status.CONTINUE, parts: [part("b")] })));
    expect([calls.size, ended]).toEqual([1, []]);
    calls.onFrame(frame(frameKind.result, 1, writeResult({ status: Status.END, parts: [part("c")] })));
    expect([calls.size, ended]).toEqual([0, [true]]);
    expect(await answer).toEqual({ status: Status.ONCE, parts: [part("a"), part("b"), part("c")] });
  });

  test("fails when its worker ends it without a result", async () => {
    const { calls, exec } = build();
    const answer = exec();
    calls.onFrame(frame(frameKind.done, 1));
    await expect(answer).rejects.toMatchObject({ reason: "ENGINE_FAILED" });
  });

  test("stays until its worker is ended for a result that cannot be read, and fails then", async () => {
    const { calls, exec } = build();
    const answer = exec();
    const broken = [3, 255, 255, 255, 127];
    const unknownStatus = [9, 0, 0, 0, 0];
    for (const body of [broken, unknownStatus]) {
      const bad = { kind: frameKind.result, callId: 1, body: new Uint8Array(body) };
      expect(() => calls.onFrame(bad)).toThrow(FrameError);
    }
    calls.fail(new ServingError("ENGINE_CRASHED", "ended"));
    await expect(answer).rejects.toMatchObject({ reason: "ENGINE_CRASHED" });
  });

  test("is not kept when it could not be sent", async () => {
    const { calls } = build();
    const tooLarge = (): never => {
      throw new ServingError("PAYLOAD_TOO_LARGE", "too large");
    };
    await expect(execCall(calls, tooLarge, request, never)).rejects.toMatchObject({ reason: "PAYLOAD_TOO_LARGE" });
    expect(calls.size).toBe(0);
  });

  test("that is cancelled is told to its worker and counts until the worker has ended it", async () => {
    const { calls, ended, sent, exec } = build();
    const caller = new AbortController();
    const answer = exec(caller.signal);
    caller.abort(new ServingError("CANCELED", "gone"));
    await expect(answer).rejects.toMatchObject({ reason: "CANCELED" });
    expect([sent, calls.size]).toEqual([[frameKind.exec, frameKind.cancel], 1]);
    calls.onFrame(frame(frameKind.failed, 1, writeFailure(new ServingError("CANCELED", ""))));
    expect([calls.size, ended]).toEqual([0, [true]]);
  });

  test("fails with a message of bounded length", async () => {
    const { calls, exec } = build();
    const answer = exec();
    calls.onFrame(frame(frameKind.failed, 1, writeFailure(new ServingError("ENGINE_FAILED", "x".repeat(100_000)))));
    await expect(answer).rejects.toMatchObject({ message: "x".repeat(4096) });
  });
});

const deaf = { onResult() {}, onEnd() {} };

test("a worker is stuck when it goes on with a cancelled call for longer than it may, until it ends it", () => {
  const { calls, pass } = build();
  calls.open(deaf, "once");
  const cancelled = calls.open(deaf, "once");
  pass(1000);
  expect(calls.isStuck()).toBe(false);
  calls.cancel(cancelled);
  pass(99);
  expect(calls.isStuck()).toBe(false);
  pass(1);
  expect(calls.isStuck()).toBe(true);
  calls.onFrame(frame(frameKind.done, cancelled));
  expect([calls.isStuck(), calls.size]).toEqual([false, 1]);
});

test("a session that has given its last result, or has failed, is over for its caller, and for the worker once it is destroyed", () => {
  const endings = [
    frame(frameKind.result, 1, writeResult({ status: Status.END, parts: [] })),
    frame(frameKind.failed, 1, writeFailure(new ServingError("ENGINE_FAILED", "no"))),
  ];
  for (const ending of endings) {
    const { calls, ended, pass } = build();
    const heard: (string | undefined)[] = [];
    const callId = calls.open({ onResult() {}, onEnd: (error) => heard.push(error?.message ?? "end") }, "session");
    calls.onFrame({ ...ending, callId });
    calls.onFrame({ ...ending, callId });
    expect([heard, ended, calls.size]).toEqual([[ending.kind === frameKind.failed ? "no" : "end"], [], 1]);
    pass(9999);
    expect(calls.isStuck()).toBe(false);
    pass(1);
    expect(calls.isStuck()).toBe(true);
    calls.onFrame(frame(frameKind.done, callId));
    expect([heard.length, ended, calls.size, calls.isStuck()]).toEqual([1, [true], 0, false]);
  }
});
