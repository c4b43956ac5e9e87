import { ServingError } from "../../../proto/errors.ts";
import type { ServiceStatus } from "../../admin/server.ts";
import type { Caller } from "../../admission/admission.ts";
import type { CallOptions } from "../../client/unary.ts";
import type { CompiledService } from "../../schema/compile.ts";
import type { ControlAction } from "../../service-control.ts";
import { type VersionStatistics, zeros } from "../../telemetry/statistics.ts";
import { shown } from "./parameters.ts";

/** A service as the protocol's pages see it, where it is called a model. */
export interface Model {
  readonly target: { readonly id: string; compiled(version?: string): CompiledService | undefined };
  readonly statistics: { read(): readonly VersionStatistics[] };
  status(): ServiceStatus;
  control(action: ControlAction, bounds: CallOptions): Promise<void>;
}

/** Gives a model by its name, and its definition. */
export interface ModelDirectory {
  readonly models: readonly Model[];
  /** Throws ServingError SERVICE_NOT_FOUND. */
  find(name: string): Model;
  /** The definition in a version; "" for whichever is served. Throws ServingError SERVICE_NOT_FOUND, SERVICE_NOT_READY. */
  describe(name: string, version: string): CompiledService;
  /** Whether it can be called in a version. Throws ServingError SERVICE_NOT_FOUND. */
  isReady(name: string, version: string): boolean;
  /** One entry for each version that was called or is served. Without a name, of every model that the caller may call. Throws as `find`. */
  statistics(name: string, version: string, caller: Lister): readonly NamedStatistics[];
}

/** The one who is told of models. */
export type Lister = Pick<Caller, "mayCall">;

/** The statistics of one version of one model. */
export interface NamedStatistics extends VersionStatistics {
  readonly name: string;
}

/** One line of a repository's index. */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: "READY" | "UNAVAILABLE";
  /** For a person; "" when there is nothing to say. */
  readonly reason: string;
}

/** Builds the directory of a gateway's services, which may be others each time they are asked for. */
export function createModelDirectory(models: () => readonly Model[]): ModelDirectory {
  const find = (name: string): Model => {
    const model = models().find(({ target }) => target.id === name);
    if (model === undefined) throw new ServingError("SERVICE_NOT_FOUND", `model '${shown(name)}' not found`);
    return model;
  };
  const describe = (name: string, version: string): CompiledService => {
    const { target } = find(name);
    const compiled = target.compiled(version);
    if (compiled !== undefined) return compiled;
    if (target.compiled() === undefined) {
      throw new ServingError("SERVICE_NOT_READY", `model '${name}' is not ready: no loader has described it yet`);
    }
    throw new ServingError("SERVICE_NOT_FOUND", `model '${name}' has no version '${shown(version)}'`);
  };
  return {
    get models() {
      return models();
    },
    find,
    describe,
    isReady(name, version) {
      if (!find(name).status().ready) return false;
      describe(name, version);
      return true;
    },
    statistics(name, version, caller) {
      const asked = name === "" ? listedFor(models(), caller) : [find(name)];
      if (version !== "") describe(name, version);
      return asked.flatMap((model) =>
        statisticsOf(model).filter((entry) => version === "" || entry.version === version),
      );
    },
  };
}

/** Whether every model can be called, as the protocol has it. */
export function isServerReady({ models }: ModelDirectory): boolean {
  return models.every((model) => model.status().ready);
}

/** Those models that a caller may call, and no others. */
export function listedFor(models: readonly Model[], { mayCall }: Lister): readonly Model[] {
  return models.filter(({ target }) => mayCall(target.id));
}

/** What is known of every model that the caller may call; with `readyOnly`, of those that are ready. */
export function indexOf({ models }: ModelDirectory, readyOnly: boolean, caller: Lister): readonly IndexEntry[] {
  const entries = listedFor(models, caller).map((model): IndexEntry => {
    const { ready, reason = "" } = model.status();
    const version = model.target.compiled()?.version ?? "";
    return { name: model.target.id, version, state: ready ? "READY" : "UNAVAILABLE", reason };
  });
  return readyOnly ? entries.filter(({ state }) => state === "READY") : entries;
}

function statisticsOf({ target, statistics }: Model): readonly NamedStatistics[] {
  const called = statistics.read();
  const served = target.compiled()?.version;
  const isListed = served === undefined || called.some(({ version }) => version === served);
  return [...called, ...(isListed ? [] : [zeros(served)])].map((entry) => ({ ...entry, name: target.id }));
}
