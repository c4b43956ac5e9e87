import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { describeEngine } from "../../loader/engine/engine.cases.ts";
import type { Engine, EngineInput } from "../../loader/engine/engine.ts";
import { createRemoteEngine, type RemoteEngineOptions } from "../../loader/engine/remote/engine.ts";
import type { DeclaredService } from "../../loader/engine/remote/protocol.ts";
import { never, requestOf, shown, textOf } from "../../loader/engine/remote/test-server.ts";
import type { ServingError } from "../../proto/errors.ts";
import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { bytesFromElements, type Datatype, elementBytes, partFromTensor } from "../../proto/tensor.ts";
import { freePorts, type ModelServer, startTriton } from "../fixtures/remote/model-servers.ts";

/* The remote engine against NVIDIA's own server: the binary extension, FP16, decoupled models, cancellation. */

let triton: ModelServer;
const servers: ModelServer[] = [];

async function start(ports = freePorts()): Promise<ModelServer> {
  const server = await startTriton(ports);
  servers.push(server);
  return server;
}

beforeAll(async () => {
  triton = await start();
});

afterAll(async () => {
  for (const server of servers) await server.stop();
});

type Way = "binary over HTTP" | "JSON over HTTP" | "gRPC" | "gRPC streams";
const ways: readonly Way[] = ["binary over HTTP", "JSON over HTTP", "gRPC", "gRPC streams"];

function engineOf(way: Way, model: string, declared: DeclaredService = {}, more: Partial<RemoteEngineOptions> = {}) {
  const isHttp = way.endsWith("HTTP");
  const protocol = isHttp
    ? ({ protocol: "oip-http", tensors: way === "JSON over HTTP" ? "json" : "auto" } as const)
    : ({ protocol: "oip-grpc", stream: way === "gRPC streams" } as const);
  return createRemoteEngine({
    service: "served",
    declared,
    url: isHttp ? triton.httpUrl : triton.grpcUrl,
    model,
    modelVersion: "",
    headers: {},
    idleTimeoutMs: 10_000,
    maxResponseBytes: 100_000_000,
    health: { intervalMs: 1000, timeoutMs: 1000, failures: 3 },
    startTimeoutMs: 5000,
    onHealth: () => {},
    onProgress: () => {},
    ...protocol,
    ...more,
  } as RemoteEngineOptions);
}

async function started(...options: Parameters<typeof engineOf>): Promise<Engine> {
  const engine = engineOf(...options);
  await engine.start(never);
  return engine;
}

const errorOf = (call: Promise<unknown>): Promise<ServingError> =>
  call.then(
    () => Promise.reject(new Error("answered")),
    (error) => error,
  );

const secondsOf = (seconds: number): Part => {
  const data = new Uint8Array(new Float32Array([seconds]).buffer);
  return partFromTensor("seconds", { datatype: "FP32", shape: [1], data });
};
const waitFor = (seconds: number, sid = "a sid"): InferRequest => {
  return { ...requestOf([secondsOf(seconds)], { waited: PartType.OTHER }), sid };
};

async function* whole(request: InferRequest): AsyncGenerator<EngineInput> {
  yield { parts: request.parts, last: true };
}

for (const way of ["binary over HTTP", "gRPC", "gRPC streams"] as const) {
  describeEngine(`remote, as ${way}`, {
    create: () => engineOf(way, "slow"),
    quick: () => waitFor(0),
    // Over HTTP Triton does not see that its caller is gone, and goes on.
    slow: () => waitFor(way === "binary over HTTP" ? 1 : 60),
  });
}

describe("a model's own metadata", () => {
  for (const way of ["binary over HTTP", "gRPC"] as const) {
    test(`tells the service's definition over ${way}, with what is optional and how many rows there may be`, async () => {
      const engine = engineOf(way, "tensors");
      const told = await engine.start(never);
      expect(told).toMatchObject({ platform: "python", maxBatchRows: 8, once: true, stream: false });
      expect(told?.inputs).toContainEqual(
        expect.objectContaining({
          name: "fp32",
          type: PartType.OTHER,
          required: true,
          tensor: expect.objectContaining({ datatype: "FP32", shape: [-1n, 2n, -1n] }),
        }),
      );
      expect(told?.inputs.find(({ name }) => name === "fp16")?.required).toBe(false);
      expect(told?.outputs.map(({ name }) => name)).toContain("bytes_out");
      await engine.stop();
    });
  }

  test("must be there: a model that the server does not have is waited for, in vain", async () => {
    for (const way of ways) {
      const engine = engineOf(way, "nowhere", {}, { startTimeoutMs: 200 });
      const error = await errorOf(engine.start(AbortSignal.timeout(200)));
      expect(error.reason).toBe("SERVICE_NOT_READY");
      expect(error.message).toContain("service 'served' was not ready within 200 ms: the model");
      await engine.stop();
    }
  });

  test("must have what service.yaml declares", async () => {
    const engine = engineOf("gRPC", "shout", { inputs: { txt: { type: "text" } } });
    expect((await errorOf(engine.start(never))).message).toContain("inputs.txt is none of the model's, which has text");
    await engine.stop();
  });

  test("may be asked for one version", async () => {
    for (const way of ways) {
      const engine = await started(way, "slow", {}, { modelVersion: "1" });
      expect((await engine.infer(waitFor(0), never)).parts).toHaveLength(1);
      await engine.stop();
      const missing = engineOf(way, "slow", {}, { modelVersion: "2", startTimeoutMs: 100 });
      expect((await errorOf(missing.start(AbortSignal.timeout(100)))).reason).toBe("SERVICE_NOT_READY");
      await missing.stop();
    }
  });
});

describe("tensors", () => {
  const rows = 3;
  const tensor = (name: string, datatype: Datatype, shape: readonly number[], data: Uint8Array) =>
    partFromTensor(name, { datatype, shape: [rows, ...shape], data });
  const random = (bytes: number) => crypto.getRandomValues(new Uint8Array(rows * bytes));
  const words = Array.from({ length: rows * 2 }, (_, index) => new TextEncoder().encode("ö".repeat(index)));
  const parts: Part[] = [
    tensor(
      "bool",
      "BOOL",
      [4],
      Uint8Array.from(random(4), (byte) => byte % 2),
    ),
    tensor("int8", "INT8", [5], random(5)),
    tensor(
      "int64",
      "INT64",
      [1],
      new Uint8Array(new BigInt64Array([2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)]).buffer),
    ),
    tensor("uint64", "UINT64", [2], random(16)),
    tensor("fp16", "FP16", [7], random(14)),
    tensor("fp32", "FP32", [2, 1], new Uint8Array(new Float32Array([0.1, -1e-38, 3e38, 0, 1, 2]).buffer)),
    tensor("fp64", "FP64", [1], new Uint8Array(new Float64Array([Math.PI, -5e-324, 1.7e308]).buffer)),
    tensor("bytes", "BYTES", [2], bytesFromElements(words)),
  ];
  const notNumber = (part: Part): Part => ({ ...part, data: new Uint8Array(part.data).fill(255) });
  const binaryBytes = tensor("bytes", "BYTES", [1], bytesFromElements(Array.from({ length: rows }, () => random(9))));

  for (const way of ways) {
    test(`of every type come back with every bit as ${way}`, async () => {
      const engine = await started(way, "tensors");
      const sent = way === "JSON over HTTP" ? parts.filter(({ name }) => name !== "fp16") : parts;
      const expects = Object.fromEntries(sent.map(({ name }) => [`${name}_out`, PartType.OTHER]));
      const { parts: got } = await engine.infer(requestOf(sent, expects), never);
      expect(got.map((part) => ({ ...part, data: Buffer.from(part.data) }))).toEqual(
        sent.map((part) => ({ ...part, name: `${part.name}_out`, data: Buffer.from(part.data) })),
      );
      await engine.stop();
    });
  }

  test("that JSON cannot carry go in binary, and are refused by name where only JSON is left", async () => {
    const fp32 = notNumber(parts.find(({ name }) => name === "fp32") as Part);
    const sent = [fp32, binaryBytes];
    const expects = { fp32_out: PartType.OTHER, bytes_out: PartType.OTHER };
    const binary = await started("binary over HTTP", "tensors");
    const { parts: got } = await binary.infer(requestOf(sent, expects), never);
    expect(got.map(({ data }) => Buffer.from(data))).toEqual(sent.map(({ data }) => Buffer.from(data)));
    await binary.stop();
    const json = await started("JSON over HTTP", "tensors");
    expect(await errorOf(json.infer(requestOf(sent, expects), never))).toMatchObject({
      reason: "INVALID_INPUT",
      message: "payload.fp32: NaN and infinity can travel in binary only, and the model server takes JSON only",
    });
    await json.stop();
  });

  test("of a shape that the model does not have, or of a name, are refused before they are sent", async () => {
    const engine = await started("gRPC", "tensors");
    const wrong = partFromTensor("fp32", { datatype: "FP32", shape: [1, 3, 1], data: new Uint8Array(12) });
    expect((await errorOf(engine.infer(requestOf([wrong], {}), never))).message).toBe(
      "payload.fp32: shape must be [-1,2,-1], got [1,3,1]",
    );
    const unknown = partFromTensor("nothing", { datatype: "FP32", shape: [1], data: new Uint8Array(4) });
    expect((await errorOf(engine.infer(requestOf([unknown], {}), never))).message).toBe(
      "payload.nothing: the model has no such input",
    );
    await engine.stop();
  });

  test("of many megabytes pass, and answers above the limit do not", async () => {
    for (const way of ["binary over HTTP", "gRPC"] as const) {
      const side = 1_000_000;
      const data = new Uint8Array(2 * side * elementBytes.FP32).fill(1);
      const large = partFromTensor("fp32", { datatype: "FP32", shape: [1, 2, side], data });
      const request = requestOf([large], { fp32_out: PartType.OTHER });
      const engine = await started(way, "tensors");
      const { parts: got } = await engine.infer(request, never);
      expect(got[0]?.data.length).toBe(data.length);
      await engine.stop();
      const bounded = await started(way, "tensors", {}, { maxResponseBytes: 100_000 });
      expect(await errorOf(bounded.infer(request, never))).toMatchObject({ reason: "OUTPUT_UNEXPECTED" });
      await bounded.stop();
    }
  });
});

describe("a service of plain parts", () => {
  const declared = {
    inputs: { text: { type: "text" } },
    outputs: { loud: { type: "text" } },
    parameters: { marks: { type: "integer" } },
  };

  for (const way of ways) {
    test(`is one element of BYTES each way as ${way}, with parameters of their types`, async () => {
      const engine = await started(way, "shout", declared);
      const request = requestOf([textOf("text", "grüße")], { loud: PartType.TEXT }, { marks: "2" });
      expect(shown(await engine.infer(request, never))).toBe("ONCE loud=GRÜSSE!!");
      await engine.stop();
    });

    test(`is told the model's own words when it refuses, as ${way}`, async () => {
      const engine = await started(way, "shout", declared);
      const refused = await errorOf(engine.infer(requestOf([textOf("text", "")], { loud: PartType.TEXT }), never));
      expect(refused.reason).toBe("INVALID_INPUT");
      expect(refused.message).toStartWith("the model server of service 'served' refuses the input: ");
      expect(refused.message).toContain("the text is empty");
      const missing = await errorOf(engine.infer(requestOf([], { loud: PartType.TEXT }), never));
      expect(missing.reason).toBe("INVALID_INPUT");
      expect(missing.message).toContain("expected 1 inputs but got 0");
      await engine.stop();
    });
  }
});

describe("a decoupled model", () => {
  const declared = { inputs: { text: { type: "text" } }, outputs: { token: { type: "text" } } };
  const say = (text: string, sid = "a sid") => {
    return { ...requestOf([textOf("text", text)], { token: PartType.TEXT }), sid };
  };

  test("answers in results, each as it comes, and the end by itself", async () => {
    const engine = await started("gRPC streams", "tokens", declared);
    expect((await Array.fromAsync(engine.stream(say(""), whole(say("a b c")), never))).map(shown)).toEqual([
      "BEGIN token=a",
      "CONTINUE token=b",
      "CONTINUE token=c",
      "END",
    ]);
    expect((await Array.fromAsync(engine.stream(say(""), whole(say("")), never))).map(shown)).toEqual(["END"]);
    expect(shown(await engine.infer(say("a b c"), never))).toBe("ONCE token=abc");
    await engine.stop();
  });

  test("is told when nobody reads any more, whether the reader leaves, hangs up or is out of time", async () => {
    const engine = await started("gRPC streams", "tokens", declared, { idleTimeoutMs: 300 });
    for await (const result of engine.stream(say("", "left"), whole(say("a wait b", "left")), never)) {
      expect(shown(result)).toBe("BEGIN token=a");
      break;
    }
    await triton.printed("tokens: cancelled left");
    const caller = new AbortController();
    const results = engine.stream(say("", "hung up"), whole(say("a wait b")), caller.signal);
    const reading = (async () => {
      for await (const _ of results) caller.abort("hung up");
    })();
    expect((await errorOf(reading)).cause).toBe("hung up");
    await triton.printed("tokens: cancelled hung up");
    expect(await errorOf(engine.infer(say("a wait b", "stalled"), never))).toMatchObject({
      reason: "DEADLINE_EXCEEDED",
      message: "the model server of service 'served' sent nothing for 300 ms",
    });
    await triton.printed("tokens: cancelled stalled");
    await engine.stop();
  });

  test("may fail in the middle", async () => {
    const engine = await started("gRPC streams", "tokens", declared);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const result of engine.stream(say(""), whole(say("a fail b")), never)) seen.push(shown(result));
    })();
    expect(await errorOf(reading)).toMatchObject({
      reason: "ENGINE_FAILED",
      message: "the model server of service 'served' failed: the word 'fail' came",
    });
    expect(seen).toEqual(["BEGIN token=a"]);
    await engine.stop();
  });

  test("cannot be called for one answer", async () => {
    const engine = await started("gRPC", "tokens", declared);
    expect((await errorOf(engine.infer(say("a"), never))).reason).toBe("UNSUPPORTED_OPERATION");
    await engine.stop();
  });
});

describe("a call's end", () => {
  test("reaches the running model over gRPC: the deadline as the server's own, and a caller that hangs up", async () => {
    const engine = await started("gRPC", "slow");
    expect(await errorOf(engine.infer(waitFor(60, "late"), never, 300))).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    await triton.printed("slow: cancelled late");
    const caller = new AbortController();
    const call = errorOf(engine.infer(waitFor(60, "gone"), caller.signal));
    setTimeout(() => caller.abort("hung up"), 50);
    expect((await call).cause).toBe("hung up");
    await triton.printed("slow: cancelled gone");
    await engine.stop();
  });
});

describe("a server that is killed", () => {
  for (const way of ["binary over HTTP", "gRPC"] as const) {
    test(`fails the calls inside it as crashed over ${way}, is not ready, and is ready again by itself when it is back`, async () => {
      const ports = freePorts();
      const first = await start(ports);
      const health: string[] = [];
      let onChange: () => void = () => {};
      const engine = await started(
        way,
        "slow",
        {},
        {
          url: way === "gRPC" ? first.grpcUrl : first.httpUrl,
          onHealth(state) {
            health.push(state.ready ? "ready" : state.reason);
            onChange();
          },
        },
      );
      const untilHealth = (count: number) =>
        new Promise<void>((resolve) => {
          onChange = () => {
            if (health.length >= count) resolve();
          };
          onChange();
        });
      const inside = errorOf(engine.infer(waitFor(60), never));
      // It is inside when the next one, which has the model's other instance, has been answered.
      await engine.infer(waitFor(0.05), never);
      await first.stop();
      expect(await inside).toMatchObject({ reason: "ENGINE_CRASHED" });
      expect(await errorOf(engine.infer(waitFor(0), never))).toMatchObject({ reason: "SERVICE_NOT_READY" });
      await untilHealth(1);
      await start(ports);
      await untilHealth(2);
      expect((await engine.infer(waitFor(0), never)).parts).toHaveLength(1);
      expect(health).toEqual(["the model server of service 'served' cannot be reached", "ready"]);
      await engine.stop();
    });
  }
});
