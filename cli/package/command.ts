import { existsSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import type { LocatedManifest } from "../../loader/manifest/manifest.ts";
import { UsageError } from "../failure.ts";
import { locateServices } from "../service-folder.ts";
import { deploymentValuesFrom, imageLoaderConfig, kubernetesFrom } from "./deployment.ts";
import { dockerfileFrom, dockerignore, imageFolder, imageName } from "./dockerfile.ts";

/** What `athena package` is told. */
export interface PackageOptions {
  /** The image's name; the service's id and version unless told. */
  readonly image?: string;
  /** Whether files that are there are written anew. */
  readonly force?: boolean;
}

/**
 * Writes into a service's folder what its image is built from and how it is deployed. Nothing is built, and nothing that is
 * there is touched unless it is told so.
 *
 * @throws UsageError for what is no folder of a service, and for one that has such files already.
 */
export async function packageService(folder: string, options: PackageOptions): Promise<void> {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UsageError(`'${folder}' is no folder: what the image is built from is written into it`);
  }
  for (const service of locateServices([folder])) {
    const image = options.image ?? imageName(service.manifest.id, service.manifest.version);
    const files = filesFrom(service, image);
    const present = [...files.keys()].filter((file) => existsSync(join(folder, file)));
    if (present.length > 0 && options.force !== true) {
      throw new UsageError(`'${folder}' has ${present.join(", ")} already; --force writes them anew`);
    }
    for (const [file, text] of files) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      await writeFile(join(folder, file), text);
    }
    console.log(
      `${[...files.keys()].join(", ")} are in ${folder}. With the loader's image, athena-loader, next:\n` +
        `  docker build -t ${image} ${folder}\n  kubectl apply -f ${join(folder, "deploy/deployment.yaml")}`,
    );
  }
}

/** The text of each file, by its path in the service's folder. */
function filesFrom(service: LocatedManifest, image: string): ReadonlyMap<string, string> {
  const values = deploymentValuesFrom(service.manifest, image);
  return new Map([
    ["Dockerfile", dockerfileFrom(service)],
    [".dockerignore", dockerignore],
    [
      "deploy/loader.yaml",
      `# The loader's configuration in the image. The admin port can unload the service: let nobody but probes and\n` +
        `# Prometheus reach it.\n${stringify(imageLoaderConfig(values, imageFolder(service)))}`,
    ],
    ["deploy/values.yaml", `# The values of a Helm chart for loaders.\n${stringify(values)}`],
    [
      "deploy/deployment.yaml",
      kubernetesFrom(values)
        .map((object) => stringify(object, { aliasDuplicateObjects: false }))
        .join("---\n"),
    ],
  ]);
}
