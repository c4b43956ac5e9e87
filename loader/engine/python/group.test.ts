import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import { createByteWriter } from "../host/byte-writer.ts";
import { encodeFrame, type Frame, frameKind } from "../host/frames.ts";
import { readFailure, readResult, writeConfig, writeRequest } from "../host/messages.ts";
import { listenForWorker } from "../host/worker-channel.ts";
import { createSocketFolder, spawnWorker } from "../host/worker-start.ts";
import { requestOf, startEngine, stopEngines, untilNoted, wrappers } from "./fixture-engine.ts";

/** A worker that is told what to compute together, as a loader tells it. */
async function startWorker(service: string) {
  const folder = await createSocketFolder();
  const ready = Promise.withResolvers<void>();
  const ended = new Map<number, PromiseWithResolvers<string>>();
  const config = {
    wrapper: join(wrappers, "modern.py"),
    class: service,
    threads: "8",
    config: "{}",
    maxFrameBytes: "1000000",
    cancelGraceMs: "1000",
  };
  const channel = listenForWorker(folder.path, "secret", 1_000_000, {
    onHello: () => channel.send(encodeFrame(frameKind.init, 0, writeConfig(config))),
    onFrame(frame) {
      if (frame.kind === frameKind.ready) ready.resolve();
      ended.get(frame.callId)?.resolve(outcomeOf(frame));
    },
    onLost: () => {},
  });
  const runtime = join(import.meta.dir, "runtime");
  const env = { ...childEnvironment(), PYTHONPATH: runtime };
  const child = spawnWorker(
    { command: ["python3", "-u", join(runtime, "athena_worker.py")], env },
    folder.path,
    "secret",
  );
  await ready.promise;
  let calls = 0;
  return {
    /** Sends calls that are to be computed together; gives how each of them ended, and their ids. */
    group(requests: readonly ReturnType<typeof requestOf>[]) {
      const writer = createByteWriter();
      writer.u32(requests.length);
      const ids = requests.map(() => ++calls);
      const outcomes = ids.map((id) => {
        const outcome = Promise.withResolvers<string>();
        ended.set(id, outcome);
        return outcome.promise;
      });
      const frames = requests.map((request, index) =>
        encodeFrame(frameKind.exec, ids[index] ?? 0, writeRequest(request)),
      );
      channel.send([...encodeFrame(frameKind.group, 0, writer), ...frames.flat()]);
      return { ids, outcomes: Promise.all(outcomes), outcome: (index: number) => outcomes[index] };
    },
    cancel: (id: number) => channel.send(encodeFrame(frameKind.cancel, id)),
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
      channel.close();
      await folder.remove();
    },
  };
}

function outcomeOf({ kind, body }: Frame): string {
  if (kind === frameKind.done) return "DONE";
  if (kind === frameKind.failed) return `${readFailure(body).engineCode ?? ""} ${readFailure(body).message}`;
  return new TextDecoder().decode(readResult(body).parts[0]?.data);
}

let worker: Awaited<ReturnType<typeof startWorker>>;

const texts = (all: readonly string[], mode = (_: number) => "") =>
  all.map((text, index) => requestOf({ text }, { mode: mode(index) }, `s${index}`));

describe("a batch function", () => {
  beforeEach(async () => {
    worker = await startWorker("Together");
  });
  afterEach(() => worker.stop());

  test("gets the requests of a group at once, and each caller its own answer", async () => {
    const outcomes = await worker.group(texts(["a", "b", "c"])).outcomes;
    expect(outcomes.map((outcome) => JSON.parse(outcome))).toEqual(
      ["a", "b", "c"].map((text) => ({ text, of: ["a", "b", "c"], mode: "", sids: ["s0", "s1", "s2"] })),
    );
    expect(JSON.parse((await worker.group(texts(["d"])).outcomes)[0] ?? "")).toMatchObject({ of: ["d"] });
  });

  test("gets requests with other parameters apart", async () => {
    const outcomes = await worker.group(texts(["a", "b", "c"], (index) => (index === 1 ? "x" : "y"))).outcomes;
    expect(outcomes.map((outcome) => [JSON.parse(outcome).of, JSON.parse(outcome).mode])).toEqual([
      [["a", "c"], "y"],
      [["b"], "x"],
      [["a", "c"], "y"],
    ]);
  });

  test("may answer one of them with an exception", async () => {
    const outcomes = await worker.group(texts(["a", "odd"])).outcomes;
    expect(JSON.parse(outcomes[0] ?? "")).toMatchObject({ text: "a" });
    expect(outcomes[1]).toBe("5 odd");
  });

  test("that raises is tried with each alone, so that one bad request fails alone", async () => {
    const outcomes = await worker.group(texts(["a", "bad", "c"])).outcomes;
    expect(JSON.parse(outcomes[0] ?? "")).toMatchObject({ of: ["a"] });
    expect(outcomes[1]).toBe(" ValueError: one of them is bad");
    expect(JSON.parse(outcomes[2] ?? "")).toMatchObject({ of: ["c"] });
  });

  test("that answers too few is told so", async () => {
    const outcomes = await worker.group(texts(["short", "b"])).outcomes;
    expect(outcomes[0]).toBe(" infer returned 0 values for 1 requests");
    expect(JSON.parse(outcomes[1] ?? "")).toMatchObject({ of: ["b"] });
  });

  test("is not given what is wrong or not wanted any more; what is left is computed", async () => {
    const requests = texts(["a", "b", "c", "d"]);
    requests[1] = requestOf({});
    const first = worker.group(texts(["wait", "x"]));
    const group = worker.group(requests);
    worker.cancel(first.ids[1] ?? 0);
    worker.cancel(group.ids[2] ?? 0);
    expect(await first.outcome(1)).toBe("DONE");
    expect(JSON.parse((await first.outcome(0)) ?? "")).toMatchObject({ text: "wait" });
    const outcomes = await group.outcomes;
    expect(JSON.parse(outcomes[0] ?? "").text).toBe("a");
    expect(outcomes[1]).toBe(" payload.text is required");
    expect(JSON.parse(outcomes[3] ?? "").text).toBe("d");
  });
});

test("a request that waits for others of its group with other parameters ends at once when its caller leaves", async () => {
  worker = await startWorker("apart");
  const requests = ["first", "second", "third"].map((name) => requestOf({ name }, { hold: String(name === "first") }));
  const group = worker.group(requests);
  await untilNoted(1);
  worker.cancel(group.ids[1] ?? 0);
  expect(await group.outcome(1)).toBe("DONE");
  worker.cancel(group.ids[0] ?? 0);
  expect(await group.outcome(2)).toBe("[third]");
  expect(await untilNoted(2)).toEqual(["computes first", "computes third"]);
  await worker.stop();
  await stopEngines();
});

describe("an asynchronous batch function", () => {
  beforeEach(async () => {
    worker = await startWorker("together");
  });
  afterEach(async () => {
    await worker.stop();
    await stopEngines();
  });

  test("gets the requests of a group at once, and is tried with each alone when it raises", async () => {
    const outcomes = await worker.group(texts(["a", "b"]).map((one) => ({ ...one, parameters: {} }))).outcomes;
    expect(outcomes).toEqual(['{"of": ["a", "b"]}', '{"of": ["a", "b"]}']);
    expect(await worker.group([requestOf({ text: "bad" }), requestOf({ text: "b" })]).outcomes).toEqual([
      " ValueError: one of them is bad",
      '{"of": ["b"]}',
    ]);
  });

  test("is cancelled when nobody waits for any of them", async () => {
    const group = worker.group([requestOf({ text: "wait" }), requestOf({ text: "b" })]);
    await untilNoted(1);
    worker.cancel(group.ids[0] ?? 0);
    expect(await group.outcome(0)).toBe("DONE");
    worker.cancel(group.ids[1] ?? 0);
    expect(await group.outcome(1)).toBe("DONE");
    expect(await untilNoted(2)).toEqual(["begun", "cancelled"]);
  });
});

test("an answer that is larger than a frame fails alone", async () => {
  worker = await startWorker("awkward");
  const asked = ["large", ""].map((how) => requestOf({ text: "x" }, { how }));
  expect(await worker.group(asked).outcomes).toEqual([" the answer is larger than 1000000 bytes", "x"]);
  await worker.stop();
});

test("a batch function tells how many requests it takes, and answers calls that come alone", async () => {
  const { engine, told } = await startEngine("modern.py", { class: "Together" });
  expect(told).toMatchObject({
    maxBatchRows: 4,
    maxBatchDelayMs: 20,
    inputs: [{ name: "text" }],
    outputs: [{ name: "result" }],
  });
  const { parts } = await engine.infer(requestOf({ text: "a" }), new AbortController().signal);
  expect(JSON.parse(new TextDecoder().decode(parts[0]?.data))).toMatchObject({ of: ["a"] });
  await stopEngines();
});
