import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Engine } from "../engine/engine.ts";

/**
 * The same engine; requests reach it with these members of their header among their parameters, where they have no
 * parameter of that name. Wrappers of the predecessor see no header, and learn in this way who asks.
 */
export function passHeaders(engine: Engine, names: readonly string[]): Engine {
  if (names.length === 0) return engine;
  const passing = (request: InferRequest): InferRequest => {
    const passed = names.filter((name) => Object.hasOwn(request.headers, name));
    const members = Object.fromEntries(passed.map((name) => [name, request.headers[name] ?? ""]));
    return { ...request, parameters: { ...members, ...request.parameters } };
  };
  const { inferBatch } = engine;
  return {
    ...engine,
    infer: (request, signal, timeoutMs) => engine.infer(passing(request), signal, timeoutMs),
    ...(inferBatch === undefined
      ? {}
      : { inferBatch: (calls) => inferBatch(calls.map((call) => ({ ...call, request: passing(call.request) }))) }),
    stream: (request, inputs, signal, timeoutMs) => engine.stream(passing(request), inputs, signal, timeoutMs),
  };
}
