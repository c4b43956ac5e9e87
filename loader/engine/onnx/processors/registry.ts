import { ServingError } from "../../../../proto/errors.ts";
import type { CreateOnnxProcessor } from "../processor.ts";

/** How each processor is loaded, by the name that service definitions give it: only a worker that needs one pays for it. */
const processors: Readonly<Record<string, () => Promise<CreateOnnxProcessor>>> = {
  "text-recognition": async () => (await import("./text-recognition/processor.ts")).createTextRecognition,
};

/**
 * Tells whether a processor of this name exists.
 *
 * @throws ServingError SERVICE_NOT_READY that lists the names when it does not.
 */
export function assertProcessor(name: string): void {
  if (Object.hasOwn(processors, name)) return;
  const known = Object.keys(processors).join(", ");
  throw new ServingError("SERVICE_NOT_READY", `engine.processor: there is no '${name}', expected one of ${known}`);
}

/**
 * Loads a processor's module.
 *
 * @throws ServingError SERVICE_NOT_READY for a name that does not exist.
 */
export async function loadProcessor(name: string): Promise<CreateOnnxProcessor> {
  assertProcessor(name);
  const load = processors[name];
  if (load === undefined) throw new ServingError("SERVICE_NOT_READY", `engine.processor: there is no '${name}'`);
  return load();
}
