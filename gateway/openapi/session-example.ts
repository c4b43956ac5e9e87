import { decodeEnvelope } from "../envelope/decode.ts";
import type { CompiledService } from "../schema/compile.ts";
import { isRecord } from "../schema/dialect.ts";
import { validate, validateChunk } from "../schema/validate.ts";
import { accepts } from "./accepts.ts";
import type { JsonObject } from "./api-part.ts";
import { type ExampleRequest, exampleRequest } from "./example.ts";

/**
 * The frames that a caller sends in a session with a service, from the first to the last, made of its example and checked as
 * callers' frames are. A service that answers once-calls only gets all in one. Undefined where none could be made.
 */
export function exampleSession(service: CompiledService): readonly JsonObject[] | undefined {
  const whole = exampleRequest(service);
  if (whole === undefined) return undefined;
  if (!service.definition.stream) return [{ ...whole }];
  // A part that says that it ends does so for its whole input: it says where it stands only where it must.
  return [false, true].map((hasPlaces) => framesFrom(whole, hasPlaces)).find((frames) => isAccepted(service, frames));
}

function framesFrom({ header, parameter, payload }: ExampleRequest, hasPlaces: boolean): readonly JsonObject[] {
  return [0, 1, 2].map((status) => {
    const parts = Object.entries(payload).map(([name, part]) => [
      name,
      withPlace(part, hasPlaces ? status : undefined),
    ]);
    const rest = { payload: Object.fromEntries(parts) };
    return status === 0 ? { header: { ...header, status }, parameter, ...rest } : { header: { status }, ...rest };
  });
}

function withPlace(part: unknown, place: number | undefined): JsonObject {
  const { status: _, ...rest } = isRecord(part) ? part : {};
  return place === undefined ? rest : { status: place, ...rest };
}

function isAccepted(service: CompiledService, frames: readonly JsonObject[]): boolean {
  return accepts(() => {
    for (const [index, frame] of frames.entries()) {
      const envelope = decodeEnvelope(JSON.stringify(frame));
      if (index === 0) validate(service, envelope, "example", { isOpening: true });
      else validateChunk(service, envelope);
    }
  });
}
