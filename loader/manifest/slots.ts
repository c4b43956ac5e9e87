import type { EngineDescription } from "../engine/engine.ts";
import type { CreatedEngine } from "../engine/registry.ts";
import type { ServiceManifest } from "./manifest.ts";

/**
 * How many slots a service has, and how many of them are best kept busy: what service.yaml says, and for the rest as many
 * calls as the engine computes at once, which for one that batches is a batch on every worker.
 */
export function slotsOf(
  { slots: wanted }: Pick<ServiceManifest, "slots">,
  { engine, lanes, slots }: CreatedEngine,
  told?: Pick<EngineDescription, "maxBatchRows">,
): { readonly total: number; readonly best: number } {
  // What a model server batches by itself is no matter of the loader's.
  const rows = engine.inferBatch === undefined ? 0 : (told?.maxBatchRows ?? 0);
  const total = wanted.total || (rows > 1 ? Math.max(slots, lanes * rows) : slots);
  return { total, best: Math.min(total, wanted.best || total) };
}
