import { ServingError } from "../../proto/errors.ts";
import type { EngineResources } from "../engine/engine.ts";

/** What {@link carryResources} is told. */
export interface CarryOptions {
  /** The service's id, for messages. */
  readonly service: string;
  readonly timeoutMs: number;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

const never = new AbortController().signal;

/** Whether two engines have the same personal resources. An engine that takes none has none. */
export function haveSameResources(from: EngineResources | undefined, to: EngineResources | undefined): boolean {
  return differenceOf(from, to) === undefined;
}

/**
 * Loads into one engine what another has, and goes on while that changes.
 *
 * @throws ServingError of the engine that refuses one, UNSUPPORTED_OPERATION from one that takes none at all,
 * SERVICE_NOT_READY when it takes too long.
 */
export async function carryResources(
  from: EngineResources | undefined,
  to: EngineResources | undefined,
  { service, timeoutMs, now }: CarryOptions,
): Promise<void> {
  const deadline = now() + timeoutMs;
  for (;;) {
    const id = differenceOf(from, to);
    if (id === undefined) return;
    if (to === undefined) {
      const message = `service '${service}' has personal resources, and its new version takes none`;
      throw new ServingError("UNSUPPORTED_OPERATION", message);
    }
    if (now() > deadline) {
      const message = `the personal resources of service '${service}' were not loaded within ${timeoutMs} ms`;
      throw new ServingError("SERVICE_NOT_READY", message);
    }
    const wanted = from?.find(id);
    try {
      if (wanted === undefined) await to.unload(id, never);
      else await to.load(id, wanted.parts, never);
    } catch (thrown) {
      const cause = ServingError.from(thrown);
      const message = `personal resource ${id} of service '${service}': ${cause.message}`;
      throw new ServingError(cause.reason, message, { cause });
    }
  }
}

/** The id of a resource in which they differ. What is not the same object was loaded anew. */
function differenceOf(from: EngineResources | undefined, to: EngineResources | undefined): number | undefined {
  for (const { id, parts } of from?.list() ?? []) if (to?.find(id)?.parts !== parts) return id;
  for (const { id } of to?.list() ?? []) if (from?.find(id) === undefined) return id;
  return undefined;
}
