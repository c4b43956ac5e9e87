import { ServingError } from "../../proto/errors.ts";
import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import { tensorFromPart } from "../../proto/tensor.ts";
import type { EngineDescription } from "../engine/engine.ts";

/** How a request counts when requests are computed together. */
export interface RequestRows {
  /** At least 1. */
  readonly rows: number;
  /** Requests with the same key may be computed together: their tensors differ in nothing but the number of rows. */
  readonly key: string;
}

/**
 * Counts the rows of a request: the first dimension of its tensors, which is the same in all of them; 1 for a service
 * whose inputs are no tensors.
 *
 * @throws ServingError INVALID_INPUT, naming the part, for a tensor that is not what is declared, or without rows.
 */
export function rowsFromRequest(request: InferRequest, { inputs }: Pick<EngineDescription, "inputs">): RequestRows {
  let rows: number | undefined;
  const keys: string[] = [];
  for (const { name, tensor } of inputs) {
    const part = request.parts.find((candidate) => candidate.name === name);
    if (part === undefined || tensor === undefined) continue;
    const { shape } = tensorFromPart(part, tensor);
    const [first = 0, ...rest] = shape;
    if (first === 0) throw new ServingError("INVALID_INPUT", `payload.${name}: its shape has no rows`);
    if (rows !== undefined && rows !== first) {
      throw new ServingError("INVALID_INPUT", `payload.${name}: has ${first} rows, the inputs before it have ${rows}`);
    }
    rows = first;
    keys.push(`${name}:${rest.join("x")}`);
  }
  return { rows: rows ?? 1, key: keys.join(" ") };
}
