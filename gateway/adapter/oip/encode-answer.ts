import { ServingError } from "../../../proto/errors.ts";
import { type OutputTensor, rawChunks, type TensorAnswer } from "./answer.ts";
import { jsonFromData, jsonFromElements } from "./json-elements.ts";

/** An answer's body over REST: JSON, and behind it the binary data of outputs, where there are any. */
export interface RestAnswer {
  readonly json: string;
  /** Undefined: no output is binary. */
  readonly binary: readonly Uint8Array[] | undefined;
}

/**
 * Writes an answer in the protocol's REST form.
 *
 * @throws ServingError SCHEMA_VIOLATION for an output that was asked for as JSON and has values that JSON cannot hold.
 */
export function encodeRestAnswer({ model, version, id, outputs }: TensorAnswer): RestAnswer {
  const members = [
    `"model_name":${JSON.stringify(model)}`,
    `"model_version":${JSON.stringify(version)}`,
    ...(id === "" ? [] : [`"id":${JSON.stringify(id)}`]),
    `"outputs":[${outputs.map(textFromOutput).join(",")}]`,
  ];
  const binary = outputs.filter((output) => output.binary);
  return { json: `{${members.join(",")}}`, binary: binary.length === 0 ? undefined : binary.flatMap(rawChunks) };
}

function textFromOutput(output: OutputTensor): string {
  const { name, datatype, shape, binary } = output;
  const head = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":${JSON.stringify(shape)}`;
  if (!binary) return `${head}${memberFrom(output.parameters)},"data":${elementsOf(output)}}`;
  const size = rawChunks(output).reduce((sum, chunk) => sum + chunk.length, 0);
  return `${head}${memberFrom({ ...output.parameters, binary_data_size: size })}}`;
}

function memberFrom(parameters: Readonly<Record<string, string | number>>): string {
  return Object.keys(parameters).length === 0 ? "" : `,"parameters":${JSON.stringify(parameters)}`;
}

function elementsOf({ name, datatype, data, isElement }: OutputTensor): string {
  const refuse = (what: string): ServingError =>
    new ServingError("SCHEMA_VIOLATION", `outputs.${name}: ${what}; ask for it with the parameter binary_data`);
  return isElement ? jsonFromElements([data], refuse) : jsonFromData(datatype, data, refuse);
}
