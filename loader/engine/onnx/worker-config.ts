import { z } from "zod";

const schema = z.object({
  processor: z.string(),
  threads: z.coerce.number().int().positive(),
  provider: z.string(),
  deviceId: z.coerce.number().int().min(0),
  options: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(z.record(z.string(), z.unknown())),
});

/** What a worker is told when it starts, as it is after {@link readWorkerConfig}. */
export type OnnxWorkerConfig = z.output<typeof schema>;

/** The largest frame between loader and worker: a large picture in, a long answer out. */
export const maxFrameBytes = 268_435_456;

/** The configuration as the texts that INIT carries. */
export function writeWorkerConfig(config: OnnxWorkerConfig): Record<string, string> {
  return {
    processor: config.processor,
    threads: String(config.threads),
    provider: config.provider,
    deviceId: String(config.deviceId),
    options: JSON.stringify(config.options),
  };
}

/** Reads what {@link writeWorkerConfig} wrote. Throws ZodError for anything else. */
export function readWorkerConfig(texts: Readonly<Record<string, string>>): OnnxWorkerConfig {
  return schema.parse(texts);
}
