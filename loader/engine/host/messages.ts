import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { isReason, type Reason, ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { Part, PartDescription } from "../../../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../../../proto/gen/athena/v1/service_pb.ts";
import type { EngineDescription, EngineInput, EngineResult } from "../engine.ts";
import { createByteReader, FrameError } from "./byte-reader.ts";
import { type ByteWriter, createByteWriter, writeList, writeMap, writePart } from "./byte-writer.ts";

/** The numbers of statuses in frames, which are the unified protocol's. */
const statusNumbers = { [Status.BEGIN]: 0, [Status.CONTINUE]: 1, [Status.END]: 2, [Status.ONCE]: 3 } as const;
const statuses = [Status.BEGIN, Status.CONTINUE, Status.END, Status.ONCE] as const;

/** The body of EXEC and CREATE. */
export function writeRequest(request: InferRequest): ByteWriter {
  const writer = createByteWriter();
  writer.text(request.sid);
  writeMap(writer, request.headers);
  writeMap(writer, request.parameters);
  writeList(writer, request.expects, (expected) => {
    writer.text(expected.name);
    writer.u8(expected.type);
    writeMap(writer, expected.attributes);
  });
  writeList(writer, request.parts, (part) => writePart(writer, part));
  writeList(writer, request.resourceIds, writer.u32);
  return writer;
}

/** Reads what {@link writeRequest} wrote. Throws FrameError. */
export function readRequest(body: Uint8Array): InferRequest {
  const reader = createByteReader(body);
  return {
    $typeName: "athena.v1.InferRequest",
    service: "",
    version: "",
    sid: reader.text(),
    headers: reader.map(),
    parameters: reader.map(),
    expects: reader.list(
      (): PartDescription => ({
        $typeName: "athena.v1.PartDescription",
        name: reader.text(),
        type: reader.u8(),
        attributes: reader.map(),
      }),
    ),
    parts: reader.list(reader.part),
    resourceIds: reader.list(reader.u32),
    priority: 0,
  };
}

/** The body of WRITE. */
export function writeInput(input: EngineInput): ByteWriter {
  const writer = createByteWriter();
  writer.u8(input.last ? 1 : 0);
  writeList(writer, input.parts, (part) => writePart(writer, part));
  return writer;
}

/** The body of LOAD_RESOURCE, and without parts that of UNLOAD_RESOURCE. */
export function writeResource(id: number, parts?: readonly Part[]): ByteWriter {
  const writer = createByteWriter();
  writer.u32(id);
  if (parts !== undefined) writeList(writer, parts, (part) => writePart(writer, part));
  return writer;
}

/** Reads what {@link writeResource} wrote, with or without its parts. Throws FrameError. */
export function readResource(body: Uint8Array): { readonly id: number; readonly parts: Part[] } {
  const reader = createByteReader(body);
  return { id: reader.u32(), parts: body.length > 4 ? reader.list(reader.part) : [] };
}

/** The body of RESULT. */
export function writeResult(result: EngineResult): ByteWriter {
  const writer = createByteWriter();
  writer.u8(statusNumbers[result.status === Status.UNSPECIFIED ? Status.CONTINUE : result.status]);
  writeList(writer, result.parts, (part) => writePart(writer, part));
  return writer;
}

/** Reads what {@link writeResult} wrote. Throws FrameError. */
export function readResult(body: Uint8Array): EngineResult {
  const reader = createByteReader(body);
  const number = reader.u8();
  const status = statuses[number];
  // Taken for something else it could leave a call open for ever.
  if (status === undefined) throw new FrameError(`${number} is not the status of a result`);
  return { status, parts: reader.list(reader.part) };
}

/** The longest message of a failure, in characters: it goes into an answer and a log line. */
const maxMessageLength = 4096;

/** The body of FAILED. */
export function writeFailure(error: ServingError): ByteWriter {
  const writer = createByteWriter();
  writer.text(error.reason);
  writer.i32(error.engineCode ?? 0);
  writer.text(error.message);
  return writer;
}

/** Reads what {@link writeFailure} wrote; a reason that the table does not have is the user's code failing. */
export function readFailure(body: Uint8Array): ServingError {
  const reader = createByteReader(body);
  const text = reader.text();
  const engineCode = reader.i32();
  const reason: Reason = isReason(text) ? text : "ENGINE_FAILED";
  return new ServingError(reason, reader.text().slice(0, maxMessageLength), engineCode === 0 ? {} : { engineCode });
}

/** The body of INIT. */
export function writeConfig(config: Readonly<Record<string, string>>): ByteWriter {
  const writer = createByteWriter();
  writeMap(writer, config);
  return writer;
}

/** The body of READY: the description as the JSON of a ServiceDefinition, or nothing. */
export function writeDescription(description: EngineDescription | undefined): ByteWriter {
  return writeText(
    description === undefined
      ? ""
      : toJsonString(ServiceDefinitionSchema, create(ServiceDefinitionSchema, description)),
  );
}

/** Reads what {@link writeDescription} wrote, or a worker in another language. Throws FrameError. */
export function readDescription(body: Uint8Array): EngineDescription | undefined {
  const text = readText(body);
  if (text === "") return undefined;
  try {
    return fromJsonString(ServiceDefinitionSchema, text);
  } catch (error) {
    throw new FrameError(
      `the description of the service cannot be read: ${error instanceof Error ? error.message : ""}`,
    );
  }
}

/** The body of HELLO and PROGRESS. */
export function writeText(text: string): ByteWriter {
  const writer = createByteWriter();
  writer.text(text);
  return writer;
}

/** Reads the body of HELLO and PROGRESS. Throws FrameError. */
export function readText(body: Uint8Array): string {
  return createByteReader(body).text();
}
