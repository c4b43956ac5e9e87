import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Http2Server } from "node:http2";
import { createServer as createTcpServer } from "node:net";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Reason, ServingError } from "../../../../proto/errors.ts";
import { PartType } from "../../../../proto/gen/athena/v1/part_pb.ts";
import { GRPCInferenceService } from "../../../../proto/gen/inference/grpc_service_pb.ts";
import { bytesFromElements, tensorFromPart } from "../../../../proto/tensor.ts";
import type { EngineInput } from "../../engine.ts";
import type { RemoteProtocol } from "../protocol.ts";
import { never, requestOf, shown, textOf } from "../test-server.ts";
import { createOipGrpc } from "./grpc.ts";

let server: Http2Server | undefined;
let protocol: RemoteProtocol | undefined;

afterEach(() => {
  protocol?.close();
  server?.close();
});

const request = requestOf([textOf("text", "hello")], { loud: PartType.TEXT });
const element = { name: "loud", datatype: "BYTES", shape: [1n] };
const raw = (text: string) => bytesFromElements([new TextEncoder().encode(text)]);
const errorOf = (call: Promise<unknown>): Promise<ServingError> =>
  call.then(
    () => Promise.reject(new Error("answered")),
    (error) => error,
  );

async function* whole(): AsyncGenerator<EngineInput> {
  yield { parts: request.parts, last: true };
}

/** A gRPC server with one model, without the parts that a test replaces. */
async function serverOf(methods: Partial<ServiceImpl<typeof GRPCInferenceService>>, stream = false) {
  const handler = connectNodeAdapter({
    routes: (router) =>
      router.service(GRPCInferenceService, {
        serverReady: () => ({ ready: true }),
        modelReady: () => ({ ready: true }),
        serverMetadata: () => ({}),
        modelMetadata: () => ({ inputs: [{ name: "text", datatype: "BYTES", shape: [-1n] }], outputs: [element] }),
        ...methods,
      }),
  });
  server = createServer(handler);
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  protocol = createOipGrpc({
    service: "served",
    declared: { parameters: { count: { type: "integer" }, heat: { type: "number" }, loud: { type: "boolean" } } },
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    model: "shout",
    modelVersion: "7",
    headers: { authorization: "Bearer key" },
    idleTimeoutMs: 200,
    maxResponseBytes: 10_000,
    stream,
  });
  await protocol.describe(never);
  return protocol;
}

describe("a call over gRPC", () => {
  test("carries the model's version, the sid, raw tensors, typed parameters, headers and the deadline", async () => {
    let seen: unknown;
    const headers: Record<string, string | null> = {};
    const engine = await serverOf({
      modelInfer(message, context) {
        const { parameters, inputs, outputs, rawInputContents, ...rest } = message;
        seen = [
          rest.modelName,
          rest.modelVersion,
          rest.id,
          inputs.map(({ name, datatype, shape, contents }) => [name, datatype, shape, contents]),
          outputs.map(({ name }) => name),
          rawInputContents.map((bytes) => Buffer.from(bytes)),
          Object.entries(parameters).map(([name, { parameterChoice }]) => [
            name,
            parameterChoice.case,
            parameterChoice.value,
          ]),
        ];
        for (const name of ["authorization", "grpc-timeout"]) headers[name] = context.requestHeader.get(name);
        return { outputs: [element], rawOutputContents: [raw("HELLO")] };
      },
    });
    const parameters = { count: "3", heat: "0.5", loud: "true", name: "x" };
    expect(shown(await engine.infer({ ...request, parameters }, never, 4000))).toBe("ONCE loud=HELLO");
    expect(seen).toEqual([
      "shout",
      "7",
      "a sid",
      [["text", "BYTES", [1n], undefined]],
      ["loud"],
      [Buffer.from(raw("hello"))],
      [
        ["count", "int64Param", 3n],
        ["heat", "doubleParam", 0.5],
        ["loud", "boolParam", true],
        ["name", "stringParam", "x"],
      ],
    ]);
    expect(headers).toEqual({ authorization: "Bearer key", "grpc-timeout": "4000m" });
  });

  test("may be answered in typed contents of every type", async () => {
    const contents = {
      BOOL: { boolContents: [true, false] },
      INT8: { intContents: [-128, 127] },
      INT16: { intContents: [-32768, 1] },
      INT32: { intContents: [-1, 1] },
      INT64: { int64Contents: [-(2n ** 63n), 2n ** 53n + 1n] },
      UINT8: { uintContents: [255, 0] },
      UINT16: { uintContents: [65535, 0] },
      UINT32: { uintContents: [2 ** 32 - 1, 0] },
      UINT64: { uint64Contents: [2n ** 64n - 1n, 0n] },
      FP32: { fp32Contents: [0.5, Number.NaN] },
      FP64: { fp64Contents: [Math.PI, Number.POSITIVE_INFINITY] },
      BYTES: { bytesContents: [new Uint8Array([255]), new Uint8Array(0)] },
    };
    const outputs = Object.entries(contents).map(([datatype, content]) => {
      return { name: datatype, datatype, shape: [2n], contents: content };
    });
    const engine = await serverOf({ modelInfer: () => ({ outputs }) });
    const expects = Object.fromEntries(outputs.map(({ name }) => [name, PartType.OTHER]));
    const { parts } = await engine.infer(requestOf(request.parts, expects), never, undefined);
    const tensors = parts.map((part) => tensorFromPart(part, { datatype: part.name, shape: [2] }));
    expect(tensors.map(({ datatype, data }) => [datatype, Buffer.from(data).toString("hex")])).toEqual([
      ["BOOL", "0100"],
      ["INT8", "807f"],
      ["INT16", "00800100"],
      ["INT32", "ffffffff01000000"],
      ["INT64", "00000000000000800100000000002000"],
      ["UINT8", "ff00"],
      ["UINT16", "ffff0000"],
      ["UINT32", "ffffffff00000000"],
      ["UINT64", "ffffffffffffffff0000000000000000"],
      ["FP32", "0000003f0000c07f"],
      ["FP64", "182d4454fb210940000000000000f07f"],
      ["BYTES", "01000000ff00000000"],
    ]);
  });

  test("may be answered in both ways at once, as KServe's models may", async () => {
    const typed = { name: "n", datatype: "INT8", shape: [1n], contents: { intContents: [7] } };
    const engine = await serverOf({
      modelInfer: () => ({ outputs: [typed, element], rawOutputContents: [raw("HELLO")] }),
    });
    const { parts } = await engine.infer(requestOf([], { n: PartType.OTHER, loud: PartType.TEXT }), never, undefined);
    expect(parts.map(({ data }) => Buffer.from(data).toString("latin1"))).toEqual(["\u0007", "HELLO"]);
  });

  for (const [what, answer, words] of [
    [
      "raw contents that are not its outputs",
      { outputs: [element], rawOutputContents: [raw("x"), raw("y")] },
      "raw contents",
    ],
    [
      "an output without data",
      { outputs: [element, element], rawOutputContents: [raw("x")] },
      "output 'loud' has no data",
    ],
    ["a type that there is not", { outputs: [{ ...element, datatype: "FP8" }] }, "no datatype and shape"],
    [
      "data that does not fit",
      { outputs: [element], rawOutputContents: [new Uint8Array(3)] },
      "does not fit its shape",
    ],
    [
      "two elements for a plain part",
      { outputs: [{ ...element, shape: [2n] }], rawOutputContents: [bytesFromElements([raw(""), raw("")])] },
      "not one element of BYTES",
    ],
    ["FP16 in typed contents", { outputs: [{ ...element, datatype: "FP16" }] }, "output 'loud'"],
    ["more bytes than may be", { outputs: [element], rawOutputContents: [raw("x".repeat(10_000))] }, "it is too large"],
  ] as const) {
    test(`is not answered with ${what}`, async () => {
      const engine = await serverOf({ modelInfer: () => answer as never });
      const error = await errorOf(engine.infer(request, never, undefined));
      expect(error.reason).toBe("OUTPUT_UNEXPECTED");
      expect(error.message).toContain(words);
    });
  }
});

describe("an error over gRPC", () => {
  for (const [code, reason, message = "its words"] of [
    [Code.InvalidArgument, "INVALID_INPUT"],
    [Code.OutOfRange, "INVALID_INPUT"],
    [Code.NotFound, "SERVICE_NOT_READY"],
    [Code.Unauthenticated, "SERVICE_NOT_READY"],
    [Code.Unavailable, "SERVICE_BUSY"],
    [Code.ResourceExhausted, "SERVICE_BUSY"],
    [Code.ResourceExhausted, "PAYLOAD_TOO_LARGE", "Received message larger than max (9 vs. 4)"],
    [Code.DeadlineExceeded, "DEADLINE_EXCEEDED"],
    [Code.Unimplemented, "UNSUPPORTED_OPERATION"],
    [Code.Canceled, "ENGINE_CRASHED"],
    [Code.Internal, "ENGINE_FAILED"],
    [Code.Unknown, "ENGINE_FAILED"],
  ] as [Code, Reason, string?][]) {
    test(`with the code ${Code[code]} is ${reason}, in the server's words`, async () => {
      const engine = await serverOf({
        modelInfer() {
          throw new ConnectError(message, code);
        },
      });
      const error = await errorOf(engine.infer(request, never, undefined));
      expect(error.reason).toBe(reason);
      expect(error.message).toEndWith(`: ${message}`);
    });
  }

  test("in a stream is the server's words, and so is one that comes between its results", async () => {
    const engine = await serverOf(
      {
        async *modelStreamInfer() {
          yield { inferResponse: { outputs: [element], rawOutputContents: [raw("one")] } };
          yield { errorMessage: "not today" };
        },
      },
      true,
    );
    const results = engine.stream(request, whole(), never, undefined)[Symbol.asyncIterator]();
    expect(shown((await results.next()).value)).toBe("BEGIN loud=one");
    expect(await errorOf(results.next())).toMatchObject({
      reason: "ENGINE_FAILED",
      message: "the model server of service 'served' failed: not today",
    });
  });

  test("is silence in a stream, before its first result too", async () => {
    const waiting = Promise.withResolvers<void>();
    const engine = await serverOf(
      {
        async *modelStreamInfer() {
          await waiting.promise;
          yield {};
        },
      },
      true,
    );
    expect(await errorOf(engine.infer(request, never, undefined))).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    waiting.resolve();
  });
});

describe("a connection over gRPC", () => {
  const protocolAt = (port: number) =>
    createOipGrpc({
      service: "served",
      declared: {},
      url: `http://127.0.0.1:${port}`,
      model: "m",
      modelVersion: "",
      headers: {},
      idleTimeoutMs: 200,
      maxResponseBytes: 10_000,
      stream: false,
    });

  test("that is refused carried nothing", async () => {
    const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    listener.stop(true);
    protocol = protocolAt(listener.port);
    expect(await errorOf(protocol.probe(never))).toMatchObject({ reason: "SERVICE_NOT_READY" });
  });

  test("that does not answer is given up when its time is over", async () => {
    const silent = createTcpServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = silent.address();
    protocol = protocolAt(typeof address === "object" ? (address?.port ?? 0) : 0);
    const late = new AbortController();
    const probe = errorOf(protocol.probe(late.signal));
    setTimeout(() => late.abort("too late"), 50);
    expect((await probe).cause).toBe("too late");
    silent.close();
  });
});
