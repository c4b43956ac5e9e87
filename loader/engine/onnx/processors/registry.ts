import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { ServingError } from "../../../../proto/errors.ts";
import type { CreateOnnxProcessor } from "../processor.ts";

/** How each processor that comes with the loader is loaded: only a worker that needs one pays for it. */
const processors: Readonly<Record<string, () => Promise<CreateOnnxProcessor>>> = {
  tensor: async () => (await import("./tensor/processor.ts")).createTensorProcessor,
  "text-recognition": async () => (await import("./text-recognition/processor.ts")).createTextRecognition,
};

/** A service's own module is named by a path in its folder, as in `./processor.ts`. */
function isPath(name: string): boolean {
  return name.startsWith("./") || name.startsWith("../") || name.startsWith("/");
}

/**
 * Tells whether a processor exists: one of the loader's by its name, or a module of the service's own by its path.
 *
 * @throws ServingError SERVICE_NOT_READY that says what there is when it does not.
 */
export function assertProcessor(name: string, folder: string): void {
  if (isPath(name)) {
    if (existsSync(resolve(folder, name))) return;
    throw new ServingError("SERVICE_NOT_READY", `engine.processor: the service's folder has no '${name}'`);
  }
  if (Object.hasOwn(processors, name)) return;
  const known = Object.keys(processors).join(", ");
  const message = `engine.processor: there is no '${name}', expected one of ${known}, or the path of a module such as ./processor.ts`;
  throw new ServingError("SERVICE_NOT_READY", message);
}

/**
 * Loads a processor's module; of the service's own it takes the export `createProcessor`.
 *
 * @throws ServingError SERVICE_NOT_READY for one that does not exist, cannot be loaded, or does not export it.
 */
export async function loadProcessor(name: string, folder: string): Promise<CreateOnnxProcessor> {
  assertProcessor(name, folder);
  if (isPath(name)) return loadModule(name, folder);
  const load = processors[name];
  if (load === undefined) throw new ServingError("SERVICE_NOT_READY", `engine.processor: there is no '${name}'`);
  return load();
}

async function loadModule(name: string, folder: string): Promise<CreateOnnxProcessor> {
  let exported: { readonly createProcessor?: unknown };
  try {
    exported = await import(resolve(folder, name));
  } catch (cause) {
    const words = cause instanceof Error ? cause.message.split("\n", 1)[0]?.slice(0, 200) : "";
    throw new ServingError("SERVICE_NOT_READY", `engine.processor: '${name}' cannot be loaded: ${words}`, { cause });
  }
  const { createProcessor } = exported;
  if (typeof createProcessor === "function") return createProcessor as CreateOnnxProcessor;
  throw new ServingError(
    "SERVICE_NOT_READY",
    `engine.processor: '${name}' does not export a function 'createProcessor'`,
  );
}
