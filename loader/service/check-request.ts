import { ServingError } from "../../proto/errors.ts";
import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, type PartDescription, PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { OutputDefinition, ServiceDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import { maxPriority } from "../../proto/priority.ts";

/**
 * The request as engines get it: an id where it had none, and every output that the service declares, with the
 * attributes that the caller asked for before the definition's own. Requests come from gateways, which check them in full,
 * and from anybody else; so what an engine relies on is checked here.
 *
 * @throws ServingError SCHEMA_VIOLATION or PAYLOAD_TOO_LARGE, naming the field.
 */
export function checkRequest(definition: ServiceDefinition, request: InferRequest, newSid: () => string): InferRequest {
  for (const input of definition.inputs) {
    const part = request.parts.find(({ name }) => name === input.name);
    if (part === undefined) {
      if (input.required) throw violation(`parts: '${input.name}' is required`);
      continue;
    }
    if (part.type !== input.type) {
      throw violation(`parts: '${input.name}' must be of type ${typeName(input.type)}, got ${typeName(part.type)}`);
    }
    if (input.maxBytes > 0n && part.data.length > input.maxBytes) {
      throw new ServingError(
        "PAYLOAD_TOO_LARGE",
        `parts: '${input.name}' has ${part.data.length} bytes, more than ${input.maxBytes}`,
      );
    }
  }
  if (Math.abs(request.priority) > maxPriority) {
    throw violation(`priority: must be from -${maxPriority} to ${maxPriority}, got ${request.priority}`);
  }
  assertKnown("parts", request.parts, definition.inputs);
  assertKnown("expects", request.expects, definition.outputs);
  return {
    ...request,
    sid: request.sid === "" ? newSid() : request.sid,
    version: definition.version,
    expects: definition.outputs.map((output) => expected(output, request.expects)),
  };
}

/**
 * The parts of one result as callers get them: each must be declared, and carries the engine's attributes, over them what
 * the caller asked for, and its place in the answer.
 *
 * @throws ServingError OUTPUT_UNEXPECTED for a part that the service does not declare.
 */
export function finishParts(request: InferRequest, parts: readonly Part[], seq: number, status: number): Part[] {
  const place = { seq: String(seq), status: String(status) };
  return parts.map((part) => {
    const output = request.expects.find(({ name }) => name === part.name);
    if (output === undefined || output.type !== part.type) {
      const kind = `'${part.name.slice(0, 64)}' of type ${typeName(part.type)}`;
      throw new ServingError("OUTPUT_UNEXPECTED", `the engine answered ${kind}, which the service does not declare`);
    }
    return { ...part, attributes: { ...part.attributes, ...output.attributes, ...place } };
  });
}

function expected(output: OutputDefinition, asked: readonly PartDescription[]): PartDescription {
  const wish = asked.find(({ name }) => name === output.name);
  return {
    $typeName: "athena.v1.PartDescription",
    name: output.name,
    type: output.type,
    attributes: wish === undefined ? output.attributes : { ...output.attributes, ...wish.attributes },
  };
}

function assertKnown(
  field: string,
  given: readonly { readonly name: string }[],
  declared: readonly { readonly name: string }[],
): void {
  const seen = new Set<string>();
  for (const { name } of given) {
    const shown = name.slice(0, 64);
    if (!declared.some((one) => one.name === name)) {
      throw violation(`${field}: '${shown}' is not declared, expected ${declared.map((one) => one.name).join(", ")}`);
    }
    if (seen.has(name)) throw violation(`${field}: '${shown}' stands twice`);
    seen.add(name);
  }
}

function typeName(type: PartType): string {
  return (PartType[type] ?? "unknown").toLowerCase();
}

function violation(message: string): ServingError {
  return new ServingError("SCHEMA_VIOLATION", message);
}
