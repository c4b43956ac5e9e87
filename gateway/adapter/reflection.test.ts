import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { Health } from "../../proto/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection, type ServerReflectionRequest } from "../../proto/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as AlphaReflection } from "../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { addReflection } from "./reflection.ts";

const transport = createRouterTransport((router) => {
  addReflection(router, { isDraining: () => false });
  router.service(InferenceService, {});
  router.service(Health, {});
});
const client = createClient(ServerReflection, transport);

async function ask(...questions: ServerReflectionRequest["messageRequest"][]) {
  async function* requests() {
    for (const messageRequest of questions) yield { messageRequest };
  }
  return Array.fromAsync(client.serverReflectionInfo(requests()), ({ messageResponse }) => messageResponse);
}

const filesOf = ([answer]: Awaited<ReturnType<typeof ask>>) =>
  answer?.case === "fileDescriptorResponse"
    ? answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name)
    : answer;

describe("reflection", () => {
  test("lists every service of its port, also those that were added after it, in both of its versions", async () => {
    const names = [
      "athena.v1.InferenceService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ];
    const listed = { case: "listServicesResponse", value: { service: names.map((name) => ({ name })) } };
    expect(await ask({ case: "listServices", value: "" })).toMatchObject([listed]);
    async function* requests() {
      yield { host: "h", messageRequest: { case: "listServices" as const, value: "*" } };
    }
    const answers = await Array.fromAsync(createClient(AlphaReflection, transport).serverReflectionInfo(requests()));
    expect(answers).toMatchObject([{ originalRequest: { host: "h" }, messageResponse: listed }]);
  });

  test("gives the file of a symbol, with those that it needs", async () => {
    const files = ["athena/v1/inference.proto", "athena/v1/part.proto"];
    for (const value of ["athena.v1.InferenceService", "athena.v1.InferenceService.Infer", "athena.v1.InferRequest"]) {
      expect(filesOf(await ask({ case: "fileContainingSymbol", value }))).toEqual(files);
    }
    expect(filesOf(await ask({ case: "fileByFilename", value: "athena/v1/part.proto" }))).toEqual(files.slice(1));
    const nested = "grpc.health.v1.HealthCheckResponse.ServingStatus";
    expect(filesOf(await ask({ case: "fileContainingSymbol", value: nested }))).toEqual([
      "grpc/health/v1/health.proto",
    ]);
    const detail = await ask({ case: "fileContainingSymbol", value: "athena.v1.ErrorDetail" });
    expect(filesOf(detail)).toEqual(["athena/v1/error.proto"]);
  });

  test("answers each question of a stream, with an error where there is nothing to tell", async () => {
    const answers = await ask(
      { case: "fileContainingSymbol", value: "no.such.Thing" },
      { case: "fileByFilename", value: "none.proto" },
      { case: undefined },
      { case: "allExtensionNumbersOfType", value: "athena.v1.Part" },
    );
    expect(answers).toMatchObject([
      { case: "errorResponse", value: { errorCode: Code.NotFound, errorMessage: "symbol 'no.such.Thing' not found" } },
      { case: "errorResponse", value: { errorCode: Code.NotFound, errorMessage: "file 'none.proto' not found" } },
      { case: "errorResponse", value: { errorCode: Code.InvalidArgument } },
      { case: "allExtensionNumbersResponse", value: { baseTypeName: "athena.v1.Part", extensionNumber: [] } },
    ]);
  });

  test("ends a stream that asks for ever", async () => {
    const questions = Array.from({ length: 1001 }, () => ({ case: "listServices" as const, value: "" }));
    expect(await ask(...questions.slice(1))).toHaveLength(1000);
    await expect(ask(...questions)).rejects.toThrow("a stream may ask 1000 times");
  });
});
