import { z } from "zod";

const schema = z.object({
  processor: z.string(),
  folder: z.string(),
  model: z.string().optional(),
  maxBatchRows: z.number().int().min(0).optional(),
  threads: z.number().int().positive(),
  provider: z.string(),
  deviceId: z.number().int().min(0),
  options: z.record(z.string(), z.unknown()),
});

/** What a worker is told when it starts; folder and model are absolute paths. */
export type OnnxWorkerConfig = z.output<typeof schema>;

/** The configuration as the texts that INIT carries. */
export function writeWorkerConfig(config: OnnxWorkerConfig): Record<string, string> {
  return { config: JSON.stringify(config) };
}

/** Reads what {@link writeWorkerConfig} wrote. Throws ZodError for anything else. */
export function readWorkerConfig(texts: Readonly<Record<string, string>>): OnnxWorkerConfig {
  return schema.parse(JSON.parse(texts.config ?? ""));
}
