import { expect, test } from "bun:test";
import { join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { file_inference_grpc_service } from "../../proto/gen/inference/grpc_service_pb.ts";

const python = process.env.ATHENA_TEST_PYTHON ?? "python3";

test("the Open Inference Protocol's messages are those of Triton's own client", () => {
  const stdin = toBinary(FileDescriptorProtoSchema, file_inference_grpc_service.proto);
  const run = Bun.spawnSync([python, join(import.meta.dir, "compare_proto.py")], { stdin });
  // `properties` is in the protocol's own file, and Triton has none.
  expect(run.stdout.toString().trim().split("\n")).toEqual([
    ".ModelMetadataResponse.properties",
    ".ModelMetadataResponse.PropertiesEntry.key",
    ".ModelMetadataResponse.PropertiesEntry.value",
    expect.stringMatching(/^1\d\d compared$/),
  ]);
});
