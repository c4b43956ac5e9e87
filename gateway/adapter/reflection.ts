import { create, type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { file_athena_v1_error } from "../../proto/gen/athena/v1/error_pb.ts";
import { ServerReflection, ServerReflectionResponseSchema } from "../../proto/gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ServerReflection as AlphaReflection,
  ServerReflectionResponseSchema as AlphaResponseSchema,
} from "../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { boundedStream, type StreamBounds } from "./bounded-stream.ts";

/** What is asked, which both versions of the protocol put in the same words. */
type Question =
  | { readonly case: "fileByFilename" | "fileContainingSymbol"; readonly value: string }
  | { readonly case: "allExtensionNumbersOfType" | "listServices"; readonly value: string }
  | { readonly case: "fileContainingExtension"; readonly value: Extension }
  | { readonly case: undefined };

interface Extension {
  readonly containingType: string;
  readonly extensionNumber: number;
}

/** Many more questions than a client has that asks for every file and every symbol. */
const perStream = { idleTimeoutMs: 60_000, maxMessages: 1000 };

/**
 * Adds gRPC's server reflection to a port: of every service that has been added to it by the time that it is asked, and of
 * errors' details. It tells the contract, and nothing of what is served by it, so it is open to everybody.
 */
export function addReflection(router: ConnectRouter, { isDraining }: Pick<StreamBounds, "isDraining">): void {
  const bounds = { ...perStream, isDraining };
  let index: SymbolIndex | undefined;
  const answerTo = (question: Question) => {
    index ??= createIndex(new Set(router.handlers.map(({ service }) => service)));
    return answerFrom(index, question);
  };
  router.service(ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const originalRequest of boundedStream(requests, bounds)) {
        const messageResponse = answerTo(originalRequest.messageRequest);
        yield create(ServerReflectionResponseSchema, { originalRequest, messageResponse });
      }
    },
  });
  router.service(AlphaReflection, {
    async *serverReflectionInfo(requests) {
      for await (const originalRequest of boundedStream(requests, bounds)) {
        const messageResponse = answerTo(originalRequest.messageRequest);
        yield create(AlphaResponseSchema, { originalRequest, messageResponse });
      }
    },
  });
}

interface SymbolIndex {
  readonly services: readonly string[];
  readonly files: ReadonlyMap<string, DescFile>;
  /** The files of services, messages and enums, by full name. */
  readonly symbols: ReadonlyMap<string, DescFile>;
}

function createIndex(services: ReadonlySet<DescService>): SymbolIndex {
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();
  const add = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    const nested = [...file.messages];
    for (const { typeName } of [...file.services, ...file.enums]) symbols.set(typeName, file);
    for (let message = nested.pop(); message !== undefined; message = nested.pop()) {
      symbols.set(message.typeName, file);
      for (const { typeName } of message.nestedEnums) symbols.set(typeName, file);
      nested.push(...message.nestedMessages);
    }
    for (const dependency of file.dependencies) add(dependency);
  };
  for (const { file } of services) add(file);
  add(file_athena_v1_error);
  return { services: [...services].map(({ typeName }) => typeName).sort(), files, symbols };
}

function answerFrom({ services, files, symbols }: SymbolIndex, question: Question) {
  switch (question.case) {
    case "listServices":
      return { case: "listServicesResponse" as const, value: { service: services.map((name) => ({ name })) } };
    case "fileByFilename":
      return filesFrom(files.get(question.value), "file", question.value);
    case "fileContainingSymbol":
      return filesFrom(fileOf(symbols, question.value), "symbol", question.value);
    case "allExtensionNumbersOfType": {
      const baseTypeName = question.value;
      if (!symbols.has(baseTypeName)) return notFound("type", baseTypeName);
      // The contract has no extensions.
      return { case: "allExtensionNumbersResponse" as const, value: { baseTypeName, extensionNumber: [] } };
    }
    case "fileContainingExtension":
      return notFound("extension", `${question.value.extensionNumber} of ${question.value.containingType}`);
    default:
      return failure(Code.InvalidArgument, "the request asks for nothing");
  }
}

/** A symbol may be a member, such as a method: its file is that of what it belongs to. */
function fileOf(symbols: SymbolIndex["symbols"], symbol: string): DescFile | undefined {
  const owner = symbol.slice(0, Math.max(0, symbol.lastIndexOf(".")));
  return symbols.get(symbol) ?? symbols.get(owner);
}

function filesFrom(file: DescFile | undefined, kind: string, name: string) {
  if (file === undefined) return notFound(kind, name);
  const needed = new Set([file]);
  // A set that grows is walked to its end.
  for (const { dependencies } of needed) for (const dependency of dependencies) needed.add(dependency);
  const fileDescriptorProto = [...needed].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto } };
}

function notFound(kind: string, name: string) {
  return failure(Code.NotFound, `${kind} '${name.slice(0, 128)}' not found`);
}

function failure(errorCode: Code, errorMessage: string) {
  return { case: "errorResponse" as const, value: { errorCode, errorMessage } };
}
