import { ServingError } from "../../proto/errors.ts";
import { type Part, PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { EngineResources, LoadedResource } from "./engine.ts";

/** Resources in memory, for tests. `before` may wait or throw. */
export function createTestResources(
  before: (what: "load" | "unload", id: number, signal: AbortSignal) => Promise<void> = async () => {},
): EngineResources {
  const loaded = new Map<number, LoadedResource>();
  return {
    async load(id, parts, signal) {
      await before("load", id, signal);
      loaded.delete(id);
      loaded.set(id, { id, parts, bytes: parts.reduce((sum, { data }) => sum + data.length, 0) });
    },
    async unload(id, signal) {
      await before("unload", id, signal);
      if (!loaded.delete(id)) throw new ServingError("RESOURCE_NOT_FOUND", `no personal resource ${id}`);
    },
    find: (id) => loaded.get(id),
    list: () => [...loaded.values()],
  };
}

/** The parts of a resource that is one text. */
export function textResource(text: string, attributes: Record<string, string> = {}): Part[] {
  const data = new TextEncoder().encode(text);
  return [{ $typeName: "athena.v1.Part", name: "words", type: PartType.TEXT, attributes, data }];
}
