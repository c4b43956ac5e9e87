import { ServingError } from "../../../proto/errors.ts";
import type { InferResponse } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";
import { type Datatype, tensorFromPart } from "../../../proto/tensor.ts";
import type { CompiledService } from "../../schema/compile.ts";
import type { TensorRequest } from "../../types.ts";

/** One output of an answer. */
export interface OutputTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** What the engine says about it beside that. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
  /** Whether the data is the bytes of the one element of BYTES alone, without their length. */
  readonly isElement: boolean;
  /** Whether the caller wants it as raw elements. */
  readonly binary: boolean;
}

/** An answer of the Open Inference Protocol, whichever form it takes on the wire. */
export interface TensorAnswer {
  readonly model: string;
  readonly version: string;
  /** As the request had it; "" for none. */
  readonly id: string;
  readonly outputs: readonly OutputTensor[];
}

/**
 * The outputs that a request asked for, in its order; all of them where it did not say. Data is not copied.
 *
 * @throws ServingError OUTPUT_UNEXPECTED for an answer that is not what the service declares.
 */
export function answerFromResponse(
  service: CompiledService,
  response: InferResponse,
  request: TensorRequest,
): TensorAnswer {
  const has = new Set(response.parts.map(({ name }) => name));
  for (const { name } of request.outputs ?? []) {
    if (!has.has(name)) throw unexpected(name, "is missing in the engine's answer");
  }
  return resultFromResponse(service, response, request);
}

/**
 * The same for one of the results of a stream, which need not have every output.
 *
 * @throws ServingError as {@link answerFromResponse}.
 */
export function resultFromResponse(
  service: CompiledService,
  { parts, version }: Pick<InferResponse, "parts" | "version">,
  { id, outputs: wishes, binaryOutputs }: Pick<TensorRequest, "id" | "outputs" | "binaryOutputs">,
): TensorAnswer {
  const byName = new Map(parts.map((part) => [part.name, part]));
  const wanted = wishes ?? Array.from(byName.keys(), (name) => ({ name, binary: binaryOutputs }));
  const outputs = wanted.flatMap(({ name, binary }) => {
    const part = byName.get(name);
    return part === undefined ? [] : [outputFrom(service, part, binary)];
  });
  // A session's end that no engine wrote has no version.
  return { model: service.id, version: version || service.version, id, outputs };
}

/** An output's data as it travels: nothing is copied, so a single element has its length in front of it. */
export function rawChunks({ data, isElement }: OutputTensor): readonly Uint8Array[] {
  if (!isElement) return [data];
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, data.length, true);
  return [length, data];
}

/** What the protocols state elsewhere, or not at all. */
const statedElsewhere: ReadonlySet<string> = new Set(["datatype", "shape", "seq", "status"]);

function outputFrom(service: CompiledService, part: Part, binary: boolean): OutputTensor {
  const { name, data } = part;
  const parameters: Record<string, string> = {};
  for (const [key, value] of Object.entries(part.attributes)) if (!statedElsewhere.has(key)) parameters[key] = value;
  const declared = service.outputByName.get(name)?.tensor;
  if (declared === undefined) {
    return { name, datatype: "BYTES", shape: [1], parameters, data, isElement: true, binary };
  }
  const { datatype, shape } = tensorFromPart(part, declared, (what) => unexpected(name, what));
  return { name, datatype, shape, parameters, data, isElement: false, binary };
}

function unexpected(name: string, what: string): ServingError {
  return new ServingError("OUTPUT_UNEXPECTED", `outputs.${name}: ${what}`);
}
