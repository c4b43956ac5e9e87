import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { findModelFile } from "../engine/onnx/model-file.ts";
import { identityFromSource } from "../engine/python/identity.ts";

/** What a folder without a service.yaml says about its service. */
export interface FoundService {
  readonly id: string;
  readonly version?: string;
  readonly engine: Readonly<Record<string, string>>;
}

/** The files that make a folder a Python service. */
const pythonFiles = ["wrapper.py", "service.py"];

/**
 * The service of a folder without a service.yaml, by the files that are in it; undefined when none of them tells. Its id is
 * the folder's name unless the code says another.
 */
export function serviceFromFolder(folder: string): FoundService | undefined {
  const id = basename(folder);
  const wrapper = pythonFiles.find((file) => existsSync(join(folder, file)));
  if (wrapper !== undefined) {
    const said = identityFromSource(readFileSync(join(folder, wrapper), "utf8"));
    return { id, ...said, engine: { kind: "python", wrapper } };
  }
  const model = findModelFile(folder);
  if (model === undefined) return undefined;
  const version = model.version === undefined ? {} : { version: model.version };
  return { id, ...version, engine: { kind: "onnx", model: "." } };
}
