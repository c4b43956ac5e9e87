import { existsSync, statSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { type LocatedManifest, loadManifest } from "../loader/manifest/manifest.ts";
import { serviceFromFolder } from "../loader/manifest/service-from-folder.ts";
import { UsageError } from "./failure.ts";

/**
 * Reads the services that a command was given: folders, models that are services by themselves, or in place of a folder the
 * file in it that makes it a service.
 *
 * @throws UsageError for what is no service, and for two services of one id; ConfigError for a service.yaml with mistakes.
 */
export function locateServices(paths: readonly string[]): readonly LocatedManifest[] {
  const services: LocatedManifest[] = [];
  for (const path of paths) {
    const located = loadManifest(sourceFrom(path));
    const { id } = located.manifest;
    if (services.some(({ manifest }) => manifest.id === id)) {
      throw new UsageError(`two folders define the service '${id}'`);
    }
    services.push(located);
  }
  return services;
}

/** What the loader reads a service from. */
function sourceFrom(path: string): string {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) throw new UsageError(`there is no '${path}'`);
  const source = status.isDirectory() ? resolve(path) : sourceFromFile(path);
  if (extname(source) === ".onnx" && !status.isDirectory()) return source;
  if (existsSync(join(source, "service.yaml")) || serviceFromFolder(source) !== undefined) return source;
  throw new UsageError(`'${path}' is no service: it has no service.yaml, and no code or model that needs none`);
}

function sourceFromFile(path: string): string {
  const name = basename(path);
  const folder = dirname(resolve(path));
  if (["wrapper.py", "service.py", "service.yaml"].includes(name)) return folder;
  // NAME/1/model.onnx is version 1 of NAME.
  if (name === "model.onnx") return /^\d+$/.test(basename(folder)) ? dirname(folder) : folder;
  if (extname(name) === ".onnx") return resolve(path);
  throw new UsageError(`'${path}' is neither a service's folder, nor its Python file, nor an .onnx model`);
}
