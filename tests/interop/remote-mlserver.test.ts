import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createRemoteEngine, type RemoteEngineOptions } from "../../loader/engine/remote/engine.ts";
import type { DeclaredService } from "../../loader/engine/remote/protocol.ts";
import { never, requestOf, shown, textOf } from "../../loader/engine/remote/test-server.ts";
import type { ServingError } from "../../proto/errors.ts";
import { type Part, PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { bytesFromElements, type Datatype, partFromTensor } from "../../proto/tensor.ts";
import { type ModelServer, startMlserver } from "../fixtures/remote/model-servers.ts";

/* The remote engine against a server without the binary extension, whose models may have no metadata. */

let mlserver: ModelServer;

beforeAll(async () => {
  mlserver = await startMlserver();
});

afterAll(() => mlserver.stop());

const protocols = ["oip-http", "oip-grpc"] as const;

function engineOf(protocol: (typeof protocols)[number], model: string, declared: DeclaredService = {}) {
  return createRemoteEngine({
    service: "served",
    declared,
    url: protocol === "oip-http" ? mlserver.httpUrl : mlserver.grpcUrl,
    model,
    modelVersion: "",
    headers: { "x-tenant": "a" },
    idleTimeoutMs: 10_000,
    maxResponseBytes: 1_000_000,
    health: { intervalMs: 1000, timeoutMs: 5000, failures: 3 },
    startTimeoutMs: 10_000,
    onHealth: () => {},
    onProgress: () => {},
    ...(protocol === "oip-http" ? { protocol, tensors: "auto" } : { protocol, stream: false }),
  } as RemoteEngineOptions);
}

const errorOf = (call: Promise<unknown>): Promise<ServingError> =>
  call.then(
    () => Promise.reject(new Error("answered")),
    (error) => error,
  );

describe("an MLServer", () => {
  const tensor = (name: string, datatype: Datatype, shape: readonly number[], data: Uint8Array) =>
    partFromTensor(name, { datatype, shape, data });
  const bytesOf = ({ buffer }: { buffer: ArrayBufferLike }) => new Uint8Array(buffer);
  const parts: Part[] = [
    tensor("bool", "BOOL", [3], new Uint8Array([1, 0, 1])),
    tensor("int64", "INT64", [3], bytesOf(new BigInt64Array([2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)]))),
    tensor("uint64", "UINT64", [1], bytesOf(new BigUint64Array([2n ** 64n - 1n]))),
    tensor("fp32", "FP32", [1, 2], bytesOf(new Float32Array([0.1, -1e-38]))),
    tensor("bytes", "BYTES", [2], bytesFromElements([new TextEncoder().encode("grüße"), new Uint8Array(0)])),
  ];
  const picture = (bytes: number[]): Part => ({
    ...textOf("picture", ""),
    type: PartType.IMAGE,
    data: new Uint8Array(bytes),
  });

  for (const protocol of protocols) {
    test(`gives tensors back with every bit over ${protocol}, though it knows JSON only`, async () => {
      const engine = engineOf(protocol, "tensors");
      const told = await engine.start(never);
      expect(told?.platform).toBe("identity");
      const expects = Object.fromEntries(parts.map(({ name }) => [`${name}_out`, PartType.OTHER]));
      const { parts: got } = await engine.infer(requestOf(parts, expects), never);
      expect(got.map((part) => ({ ...part, data: Buffer.from(part.data) }))).toEqual(
        parts.map((part) => ({ ...part, name: `${part.name}_out`, data: Buffer.from(part.data) })),
      );
      await engine.stop();
    });

    test(`takes a picture over ${protocol}, as its metadata says: in JSON as base64`, async () => {
      const engine = engineOf(protocol, "tensors");
      await engine.start(never);
      const request = requestOf([picture([255, 216, 0, 10])], { picture_out: PartType.IMAGE });
      expect((await engine.infer(request, never)).parts).toMatchObject([
        { name: "picture_out", type: PartType.IMAGE, data: expect.objectContaining({ length: 4, 0: 255, 1: 216 }) },
      ]);
      await engine.stop();
    });

    test(`serves plain text over ${protocol}, and says in its own words what it refuses`, async () => {
      const engine = engineOf(protocol, "shout", { inputs: { text: { type: "text" } } });
      await engine.start(never);
      const say = (text: string) => requestOf([textOf("text", text)], { loud: PartType.TEXT });
      expect(shown(await engine.infer(say("grüße"), never))).toBe("ONCE loud=GRÜSSE");
      expect(await errorOf(engine.infer(say(""), never))).toMatchObject({
        reason: "INVALID_INPUT",
        message: "the model server of service 'served' refuses the input: the text is empty",
      });
      await engine.stop();
    });

    test(`may have a model without metadata over ${protocol}: then service.yaml says what there is`, async () => {
      const declared = { inputs: { a: { type: "text" }, b: { type: "other" } }, outputs: { a_out: { type: "text" } } };
      const engine = engineOf(protocol, "bare", declared);
      expect(await engine.start(never)).toMatchObject({ inputs: [], outputs: [] });
      const request = requestOf([textOf("a", "hello"), tensor("b", "FP32", [1], new Uint8Array(4))], {
        a_out: PartType.TEXT,
      });
      expect(shown(await engine.infer(request, never))).toBe("ONCE a_out=hello");
      const unsaid = { ...tensor("b", "FP32", [1], new Uint8Array(4)), attributes: {} };
      expect((await errorOf(engine.infer(requestOf([unsaid], {}), never))).message).toContain(
        "payload.b: the attributes datatype and shape are needed",
      );
      await engine.stop();
    });
  }

  test("cannot be given FP16, and that is said by name", async () => {
    const engine = engineOf("oip-http", "tensors");
    await engine.start(never);
    const half = tensor("fp16", "FP16", [1], new Uint8Array(2));
    expect(await errorOf(engine.infer(requestOf([half], {}), never))).toMatchObject({
      reason: "INVALID_INPUT",
      message: "payload.fp16: FP16 can travel in binary only, and the model server takes JSON only",
    });
    await engine.stop();
  });
});
