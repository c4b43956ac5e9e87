import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LocatedManifest } from "../../loader/manifest/manifest.ts";
import { UsageError } from "../failure.ts";

/** Where a service's folder is in its image. */
export function imageFolder({ manifest }: LocatedManifest): string {
  return `/srv/athena/${manifest.id}`;
}

/** What stays out of an image: what is made anew inside, and what tells others how to run it. */
export const dockerignore = `.git
.venv
**/__pycache__
**/*.so.new
Dockerfile
deploy/values.yaml
deploy/deployment.yaml
`;

/**
 * The Dockerfile of a service's image, on top of the loader's: with the interpreter and the packages of Python code, or with a
 * C or C++ library built inside. Its context is the service's folder.
 *
 * @throws UsageError for a definition that an image cannot follow.
 */
export function dockerfileFrom(located: LocatedManifest): string {
  const { id, version, engine, startTimeoutMs } = located.manifest;
  const head = `# docker build -t ${imageName(id, version)} .
# The loader's image is built from Dockerfile.loader of Athena Serving.
ARG LOADER_IMAGE=athena-loader
`;
  const tail = `COPY deploy/loader.yaml /etc/athena/loader.yaml
WORKDIR /app
USER 65532:65532
EXPOSE 5090 5091
HEALTHCHECK --interval=10s --timeout=3s --start-period=${Math.ceil(startTimeoutMs / 1000)}s \\
  CMD ["bun", "-e", "process.exit((await fetch('http://127.0.0.1:5091/healthz')).ok ? 0 : 1)"]
# It ends by SIGTERM, after the requests that are under way: the loader's image says so, and how it starts.
`;
  switch (engine.kind) {
    case "python":
      return `${head}${pythonStage(located, engine.python)}${tail}`;
    case "native":
      return `${head}${nativeStages(located)}${tail}`;
    default:
      return `${head}\nFROM \${LOADER_IMAGE}\nWORKDIR ${imageFolder(located)}\nCOPY . ./\n${tail}`;
  }
}

/** The name of a service's image when none is given: lower case, as registries ask for. */
export function imageName(id: string, version: string): string {
  return `${id.toLowerCase()}:${version.replaceAll(/[^A-Za-z0-9_.-]/g, "-")}`;
}

function pythonStage(located: LocatedManifest, python: string): string {
  if (python.startsWith("/")) {
    throw new UsageError(
      "engine.python: an image needs a command or a path in the service's folder, not an absolute path",
    );
  }
  const folder = imageFolder(located);
  // service.yaml may name the interpreter of a virtual environment in the folder: the image has it at the same place.
  const environment = /^(.+)\/bin\/[^/]+$/.exec(python)?.[1] ?? ".venv";
  const hasPackages = existsSync(join(located.folder, "requirements.txt"));
  const isNeeded = hasPackages || python.includes("/");
  const install = hasPackages ? ` && ${environment}/bin/pip install --no-cache-dir -r requirements.txt` : "";
  return `
FROM \${LOADER_IMAGE}
USER root
${aptInstall(isNeeded ? "python3 python3-venv" : "python3")}
WORKDIR ${folder}
${hasPackages ? "COPY requirements.txt ./\n" : ""}${isNeeded ? `RUN python3 -m venv ${environment}${install}\nENV PATH=${folder}/${environment}/bin:$PATH\n` : ""}COPY . ./
`;
}

function nativeStages(located: LocatedManifest): string {
  const folder = imageFolder(located);
  const make = existsSync(join(located.folder, "Makefile")) ? "RUN make\n" : "";
  return `
# Built on the loader's own system, so that library and loader fit; the image itself has no compiler.
FROM \${LOADER_IMAGE} AS build
USER root
${aptInstall("g++ make")}
WORKDIR /app
RUN bun loader/engine/native/prebuild.ts
WORKDIR ${folder}
COPY . ./
${make}
FROM \${LOADER_IMAGE}
COPY --from=build /app/loader/engine/native/bin /app/loader/engine/native/bin
COPY --from=build ${folder} ${folder}
`;
}

function aptInstall(packages: string): string {
  return `RUN apt-get update && apt-get install --yes --no-install-recommends ${packages} && rm -rf /var/lib/apt/lists/*`;
}
