import type { Logger } from "../../config/logger.ts";
import { ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { EngineHealth } from "../engine/engine.ts";
import type { ServedState } from "../service/served.ts";

/** The state of one service, from loading to its end. */
export interface StateHolder {
  readonly current: ServedState;
  /** Changes it, unless the service is stopping already, and logs the change. */
  become(state: ServiceState, reason: string): void;
  /** Follows its engine's health once it has been loaded. */
  onHealth(health: EngineHealth): void;
}

/** Builds the state of a service that is being loaded. */
export function createStateHolder(logger: Logger): StateHolder {
  let current: ServedState = { state: ServiceState.LOADING, reason: "loading" };
  const become = (state: ServiceState, reason: string): void => {
    if (current.state === ServiceState.STOPPING || (current.state === state && current.reason === reason)) return;
    current = { state, reason };
    if (state === ServiceState.READY) logger.info("ready");
    else logger.warn({ reason }, "not ready");
  };
  return {
    get current() {
      return current;
    },
    become,
    onHealth(health) {
      if (current.state === ServiceState.LOADING) return;
      if (health.ready) become(ServiceState.READY, "");
      else become(ServiceState.FAILED, health.reason);
    },
  };
}
