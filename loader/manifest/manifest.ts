import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { loadConfig, parseConfig } from "../../config/load.ts";
import { elementBytes, isDatatype, maxRank } from "../../proto/tensor.ts";
import { exampleSchema, readExamples } from "./example.ts";
import { remoteEngineSchema } from "./remote-engine.ts";
import { serviceFromFolder } from "./service-from-folder.ts";

const partType = z.enum(["text", "audio", "image", "video", "other"]);
const partName = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, "expected letters, digits, '_', '.' and '-'");
/** A JSON Schema; what it says is checked by the gateway, which compiles it. */
const jsonSchema = z.record(z.string(), z.json());
const timeout = z.int().min(1).max(86_400_000);
const schemasByName = z.record(partName, jsonSchema);

const tensorSchema = z.strictObject({
  datatype: z.string().refine(isDatatype, `expected one of ${Object.keys(elementBytes).join(", ")}`),
  shape: z.array(z.int().min(-1, "expected a size, or -1 for any")).max(maxRank),
});
const typeOfTensor = { path: ["type"], message: "the type of a tensor is other" };

function isOtherIfTensor({ type, tensor }: { type: string; tensor?: unknown }): boolean {
  return tensor === undefined || type === "other";
}

const engineSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("echo") }),
  z.strictObject({
    kind: z.literal("onnx"),
    /** An ONNX file, or a folder with a model.onnx or with versions of one, relative to the service's folder. */
    model: z.string().min(1).optional(),
    /** What prepares the input and reads the output: a name, or the path of a module. Without it: the model's own tensors. */
    processor: z.string().min(1).optional(),
    /** Processes that compute; 0: one for every core, or one alone for a device. */
    workers: z.int().min(0).max(256).default(0),
    threads: z.int().min(1).max(256).default(1),
    provider: z.string().min(1).default("cpu"),
    deviceId: z.int().min(0).optional(),
    /** Handed to the processor as they are. */
    options: z.record(z.string(), z.json()).default({}),
  }),
  z.strictObject({
    kind: z.literal("python"),
    /** The file with the code, relative to the service's folder. */
    wrapper: z.string().min(1).default("wrapper.py"),
    /** Without it, what is decorated as a service, or else the class Wrapper. */
    class: z
      .string()
      .regex(/^[A-Za-z_]\w*$/, "expected the name of a class")
      .optional(),
    /** The interpreter: a command, or the bin/python of a virtual environment, relative to the service's folder. */
    python: z.string().min(1).default("python3"),
    workers: z.int().min(1).max(256).default(1),
    threads: z.int().min(1).max(1024).default(1),
    /** Handed to wrapperInit. */
    config: z.record(z.string(), z.json()).default({}),
  }),
  z.strictObject({
    kind: z.literal("native"),
    /** The wrapper's library, relative to the service's folder. */
    library: z.string().min(1).default("libwrapper.so"),
    /** Whether the library is called through wrapperExecAsync and its callback. */
    async: z.boolean().default(false),
    workers: z.int().min(1).max(256).default(1),
    threads: z.int().min(1).max(1024).default(1),
    /** Handed to wrapperInit as texts. */
    config: z.record(z.string(), z.json()).default({}),
  }),
  remoteEngineSchema,
]);

/** The schema of service.yaml; docs/service-definition.md explains each key. */
export const manifestSchema = z
  .strictObject({
    id: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, "expected letters, digits, '_', '.' and '-'"),
    version: z.string().min(1).max(64).default("v1"),
    description: z.string().max(4096).default(""),
    engine: engineSchema,
    /** Without inputs and outputs the engine tells them: a model's tensors, the fields of a wrapper's classes. */
    inputs: z
      .record(
        partName,
        z
          .strictObject({
            type: partType,
            required: z.boolean().default(true),
            maxBytes: z.int().min(0).default(0),
            attributes: schemasByName.optional(),
            example: exampleSchema.optional(),
            tensor: tensorSchema.optional(),
          })
          .refine(isOtherIfTensor, typeOfTensor),
      )
      .optional(),
    outputs: z
      .record(
        partName,
        z
          .strictObject({ type: partType, attributes: schemasByName.optional(), tensor: tensorSchema.optional() })
          .refine(isOtherIfTensor, typeOfTensor),
      )
      .optional(),
    parameters: schemasByName.optional(),
    requiredParameters: z.array(z.string()).default([]),
    header: jsonSchema.optional(),
    /** Members of the header that the engine gets among the parameters. */
    passHeaders: z.array(z.string().min(1).max(64)).max(64).default([]),
    sidPrefix: z
      .string()
      .regex(/^[a-z0-9]{3}$/, "expected three letters or digits")
      .default("ase"),
    /** Without either, what the engine tells, or else once alone. */
    once: z.boolean().optional(),
    stream: z.boolean().optional(),
    slots: z
      .strictObject({ total: z.int().min(0).max(100_000).default(0), best: z.int().min(0).max(100_000).default(0) })
      .prefault({}),
    /** Which calls are computed together, by engines that can. */
    batching: z
      .strictObject({
        /** 0 and 1: none. Without it: as the engine thinks best. */
        maxRows: z.int().min(0).max(65_536).optional(),
        /** How long calls may wait for others when more are expected. Without it: what the engine tells. */
        maxDelayMs: z.number().min(0).max(10_000).optional(),
      })
      .prefault({}),
    /** Without it the service takes no personal resources. */
    resources: z
      .strictObject({
        maxCount: z.int().min(1).max(1_000_000).default(1000),
        /** Of all of them together. */
        maxBytes: z.int().min(1).max(1_099_511_627_776).default(268_435_456),
        /** For loading or unloading one. */
        timeoutMs: timeout.default(30_000),
      })
      .optional(),
    queue: z.strictObject({ maxLength: z.int().min(0).max(1_000_000).default(64) }).prefault({}),
    session: z
      .strictObject({
        idleTimeoutMs: timeout.default(60_000),
        totalTimeoutMs: timeout.default(3_600_000),
        /** What the predecessor waited for a missing chunk, and how many it let wait. */
        holeTimeoutMs: timeout.default(5000),
        maxWaitingChunks: z.int().min(1).max(100_000).default(500),
      })
      .prefault({}),
    timeoutMs: z.int().min(1).max(3_600_000).default(60_000),
    startTimeoutMs: z.int().min(1).max(3_600_000).default(120_000),
  })
  .superRefine((manifest, context) => {
    if (manifest.once === false && manifest.stream !== true) {
      context.addIssue({ code: "custom", path: ["once"], message: "once and stream cannot both be false" });
    }
    if (manifest.engine.kind === "onnx" && (manifest.engine.model ?? manifest.engine.processor) === undefined) {
      context.addIssue({ code: "custom", path: ["engine"], message: "model or processor is required" });
    }
    for (const [index, name] of manifest.requiredParameters.entries()) {
      if (Object.hasOwn(manifest.parameters ?? {}, name)) continue;
      context.addIssue({
        code: "custom",
        path: ["requiredParameters", index],
        message: `no parameter is named '${name}'`,
      });
    }
  });

/** One service as its folder declares it, checked and complete. */
export type ServiceManifest = z.output<typeof manifestSchema>;

/** A manifest and where it was read from. */
export interface LocatedManifest {
  readonly manifest: ServiceManifest;
  /** Where its relative paths begin; absolute. */
  readonly folder: string;
  /** What {@link loadManifest} reads it from: the folder, or a single file; absolute. */
  readonly source: string;
  /** The bytes of the inputs' examples, by the input's name. */
  readonly examples: ReadonlyMap<string, Uint8Array>;
}

/** What a service.yaml says about its engine. */
export type EngineManifest = ServiceManifest["engine"];

/**
 * Reads the service.yaml of a folder. A folder without one that holds code or a model which says everything itself is a
 * service with the folder's name, and so is a single ONNX file, with the file's.
 *
 * @throws ConfigError with every mistake and its line.
 */
export function loadManifest(path: string): LocatedManifest {
  const source = resolve(path);
  const isFile = source.endsWith(".onnx");
  const folder = isFile ? dirname(source) : source;
  const file = join(folder, "service.yaml");
  const found = isFile
    ? { id: basename(source, ".onnx"), engine: { kind: "onnx", model: basename(source) } }
    : existsSync(file)
      ? undefined
      : serviceFromFolder(folder);
  const schema = manifestSchema.transform((manifest, context) => ({
    manifest,
    folder,
    source,
    examples: readExamples(manifest.inputs, folder, context),
  }));
  return found === undefined ? loadConfig(file, schema) : parseConfig(JSON.stringify(found), schema, path);
}
