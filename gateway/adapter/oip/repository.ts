import { ServingError } from "../../../proto/errors.ts";
import type { Caller } from "../../admission/admission.ts";
import type { ControlAction } from "../../service-control.ts";
import type { ModelDirectory } from "./models.ts";
import { shown } from "./parameters.ts";

/** A request of the protocol's model repository extension: load a model, or unload it. */
export interface ControlRequest {
  readonly action: ControlAction;
  readonly model: string;
  /** The names of the request's parameters. */
  readonly parameters: readonly string[];
  readonly caller: Caller;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** How long the caller waits; undefined: as long as it may. */
  readonly timeoutMs?: number | undefined;
}

/** Loads and unloads models. Throws ServingError. */
export type ModelControl = (request: ControlRequest) => Promise<void>;

/** A large model takes its time, but not for ever. */
const maxTimeoutMs = 1_200_000;

/** Nothing depends on another model here, so that this has nothing to say. */
const withoutEffect: ReadonlySet<string> = new Set(["unload_dependents"]);

/** Builds the control of a gateway's models; without `isAllowed` everything is refused. */
export function createModelControl(directory: ModelDirectory, isAllowed: boolean): ModelControl {
  return async ({ action, model, parameters, caller, signal, timeoutMs = maxTimeoutMs }) => {
    if (!isAllowed) throw unsupported("loading and unloading needs 'modelControl: explicit' in the configuration");
    caller.assertMayControl(model);
    const found = directory.find(model);
    const unknown = parameters.find((name) => !withoutEffect.has(name));
    if (unknown !== undefined)
      throw unsupported(`parameters.${shown(unknown)}: a model is loaded as its folder has it`);
    await found.control(action, { signal, timeoutMs: Math.min(timeoutMs, maxTimeoutMs) });
  };
}

function unsupported(message: string): ServingError {
  return new ServingError("UNSUPPORTED_OPERATION", message);
}
