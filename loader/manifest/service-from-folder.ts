import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { findModelFile } from "../engine/onnx/model-file.ts";

/** What a folder without a service.yaml says about its service. */
export interface FoundService {
  readonly id: string;
  readonly version?: string;
  readonly engine: Readonly<Record<string, string>>;
}

/** The service of a folder without a service.yaml, by the files that are in it; undefined when none of them tells. */
export function serviceFromFolder(folder: string): FoundService | undefined {
  const id = basename(folder);
  if (existsSync(join(folder, "wrapper.py"))) return { id, engine: { kind: "python" } };
  const model = findModelFile(folder);
  if (model === undefined) return undefined;
  const version = model.version === undefined ? {} : { version: model.version };
  return { id, ...version, engine: { kind: "onnx", model: "." } };
}
