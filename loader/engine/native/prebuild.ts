/** Compiles the native engine's host into the installation, for an image without a compiler: run when the image is built. */
import { mkdir } from "node:fs/promises";
import { buildNativeHost, installedFolder } from "./build.ts";

// Whoever builds an image is not the user that it runs as, who must be able to read it.
await mkdir(installedFolder, { recursive: true, mode: 0o755 });
await buildNativeHost({ folder: installedFolder });
