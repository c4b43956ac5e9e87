import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { ServingError } from "../../../proto/errors.ts";

/** The file of a model, and the version that its folder's name gives it. */
export interface ModelFile {
  readonly path: string;
  readonly version?: string;
}

/** What a model's file is called in a folder. */
const fileName = "model.onnx";

/**
 * The model that a path means: an ONNX file, a folder with a `model.onnx`, or one whose subfolders are versions, numbers,
 * each with a `model.onnx`; then the highest number. Undefined when there is none.
 */
export function findModelFile(path: string): ModelFile | undefined {
  if (!existsSync(path)) return undefined;
  if (statSync(path).isFile()) return { path };
  if (existsSync(join(path, fileName))) return { path: join(path, fileName) };
  const versions = readdirSync(path)
    .filter((name) => /^\d{1,15}$/.test(name) && existsSync(join(path, name, fileName)))
    .toSorted((a, b) => Number(b) - Number(a));
  const version = versions[0];
  return version === undefined ? undefined : { path: join(path, version, fileName), version };
}

/**
 * As {@link findModelFile}.
 *
 * @throws ServingError SERVICE_NOT_READY, naming the key, when there is none.
 */
export function modelFileFromPath(path: string): ModelFile {
  const file = findModelFile(path);
  if (file !== undefined) return file;
  const message = `engine.model: '${basename(path)}' is neither an ONNX file nor a folder with a ${fileName} or versions of one`;
  throw new ServingError("SERVICE_NOT_READY", message);
}
