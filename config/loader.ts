import { z } from "zod";
import { listenSchema, tcpListenSchema } from "./listen.ts";

/** The schema of loader.yaml; config/loader.yaml explains each key. */
export const loaderConfigSchema = z.strictObject({
  listen: listenSchema.default({ host: "0.0.0.0", port: 5090 }),
  admin: tcpListenSchema.default({ host: "127.0.0.1", port: 5091 }),
  /** Folders with a service.yaml, or with code or a model alone, and ONNX files; relative to the configuration file. */
  services: z.array(z.string().min(1)).max(256),
  /** A folder whose subfolders are services that are loaded when an operator asks for them by name. */
  repository: z.string().min(1).optional(),
  /** Whether gateways may load and unload services too; the admin address always may. */
  modelControl: z.enum(["none", "explicit"]).default("none"),
  drainTimeoutMs: z.int().min(0).max(3_600_000).default(30_000),
  maxBodyBytes: z.int().min(1024).max(1_073_741_824).default(67_108_864),
});

/** The loader's configuration, checked and complete. */
export type LoaderConfig = z.output<typeof loaderConfigSchema>;
