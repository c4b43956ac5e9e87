import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../proto/gen/athena/v1/part_pb.ts";
import type { Envelope, LiftedPart } from "../types.ts";

/**
 * A request that came as a message, as the envelope that the rest of the line knows, so that every protocol is checked and
 * routed in one way. `service` is the id of the service that it was routed to. Bytes are not copied.
 */
export function envelopeFromRequest(request: InferRequest, service: string): Envelope {
  const values: Record<string, unknown> = { ...request.parameters };
  for (const { name, attributes } of request.expects) values[name] = attributes;
  return {
    header: request.headers,
    parameter: { [service]: values },
    payload: request.parts.map(liftedFromPart),
    isText: true,
    resourceIds: request.resourceIds,
    priority: request.priority,
  };
}

/** A chunk that came as a message, as the envelope of a session's later frame. */
export function envelopeFromParts(parts: readonly Part[]): Envelope {
  return { header: {}, parameter: {}, payload: parts.map(liftedFromPart), isText: true };
}

function liftedFromPart({ name, type, data, attributes }: Part): LiftedPart {
  return { name, type, data, attributes };
}
