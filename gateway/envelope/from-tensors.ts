import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { Envelope, TensorRequest } from "../types.ts";

/** A request of the Open Inference Protocol to a category as the envelope that the category's rules look at. */
export function envelopeFromTensors(category: string, { header, parameters, inputs }: TensorRequest): Envelope {
  return {
    header,
    parameter: { [category]: parameters },
    payload: inputs.map(({ name, data, parameters: attributes }) => ({
      name,
      type: PartType.UNSPECIFIED,
      data,
      attributes,
    })),
  };
}
