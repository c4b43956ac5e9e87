import { existsSync, statSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join, resolve } from "node:path";
import { engineFromFolder } from "../loader/manifest/engine-from-folder.ts";
import { type LocatedManifest, loadManifest } from "../loader/manifest/manifest.ts";
import { UsageError } from "./failure.ts";

/**
 * Reads the services that a command was given: folders, or in place of a folder the file in it that makes it a service. A
 * model that stands in no such folder gets one, which `temporary` removes.
 *
 * @throws UsageError for what is no service, and for two services of one id; ConfigError for a service.yaml with mistakes.
 */
export async function locateServices(
  paths: readonly string[],
  temporary: AsyncDisposableStack,
): Promise<readonly LocatedManifest[]> {
  const services: LocatedManifest[] = [];
  for (const path of paths) {
    const located = readService(path, await folderFrom(path, temporary));
    const { id } = located.manifest;
    if (services.some(({ manifest }) => manifest.id === id))
      throw new UsageError(`two folders define the service '${id}'`);
    services.push(located);
  }
  return services;
}

function readService(path: string, folder: string): LocatedManifest {
  if (!existsSync(join(folder, "service.yaml")) && engineFromFolder(folder) === undefined) {
    throw new UsageError(`'${path}' is no service: it has no service.yaml, and no code or model that needs none`);
  }
  return loadManifest(folder);
}

/** The folder that a path means. Throws UsageError. */
export async function folderFrom(path: string, temporary: AsyncDisposableStack): Promise<string> {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) throw new UsageError(`there is no '${path}'`);
  if (status.isDirectory()) return resolve(path);
  const name = basename(path);
  const folder = dirname(resolve(path));
  if (name === "wrapper.py" || name === "service.yaml") return folder;
  // NAME/1/model.onnx is version 1 of NAME.
  if (name === "model.onnx") return /^\d+$/.test(basename(folder)) ? dirname(folder) : folder;
  if (extname(name) === ".onnx") return folderForModel(resolve(path), temporary);
  throw new UsageError(`'${path}' is neither a service's folder, nor its wrapper.py, nor an .onnx model`);
}

async function folderForModel(model: string, temporary: AsyncDisposableStack): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "athena-model-"));
  temporary.defer(() => rm(root, { recursive: true, force: true }));
  const folder = join(root, basename(model, ".onnx").replaceAll(/[^A-Za-z0-9_.-]/g, "-"));
  await mkdir(folder);
  await symlink(model, join(folder, "model.onnx"));
  return folder;
}
