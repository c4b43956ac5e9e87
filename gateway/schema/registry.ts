import { equals } from "@bufbuild/protobuf";
import { ServingError } from "../../proto/errors.ts";
import { type ServiceDefinition, ServiceDefinitionSchema } from "../../proto/gen/athena/v1/service_pb.ts";
import { type CompiledService, compileService } from "./compile.ts";

/** The compiled definitions of a gateway's services. */
export interface SchemaRegistry {
  /**
   * Compiles a definition and puts it in the place of an earlier one of the same service and version, at once: requests
   * see one or the other. An equal definition changes nothing and costs no compilation. Throws ServingError
   * SERVICE_NOT_READY for a broken definition, or when the registry is full; what was there before stays.
   */
  put(definition: ServiceDefinition): CompiledService;
  /** The compiled service; without a version, that which was put last. */
  find(id: string, version?: string): CompiledService | undefined;
  /** Forgets every version of a service; false where there is none. */
  remove(id: string): boolean;
  /** How many services it holds. */
  readonly size: number;
}

/** What a registry is bounded by. */
export interface SchemaRegistryOptions {
  /** As many services as a gateway's configuration may name, unless told. */
  readonly maxServices?: number;
}

/** How many versions of one service are kept: those put last. More than a change from one to the next ever needs. */
const maxVersions = 16;

/** Builds an empty registry. */
export function createSchemaRegistry({ maxServices = 10_000 }: SchemaRegistryOptions = {}): SchemaRegistry {
  // Versions stand in the order in which they were put last.
  const services = new Map<string, Map<string, CompiledService>>();
  return {
    put(definition) {
      const versions = services.get(definition.id) ?? new Map<string, CompiledService>();
      if (versions.size === 0 && services.size >= maxServices) throw full(definition.id, maxServices);
      const current = versions.get(definition.version);
      const isSame = current !== undefined && equals(ServiceDefinitionSchema, current.definition, definition);
      const compiled = isSame ? current : compileService(definition);
      versions.delete(compiled.version);
      versions.set(compiled.version, compiled);
      const [oldest] = versions.keys();
      if (versions.size > maxVersions && oldest !== undefined) versions.delete(oldest);
      services.set(compiled.id, versions);
      return compiled;
    },
    find(id, version = "") {
      const versions = services.get(id);
      return version === "" ? [...(versions?.values() ?? [])].at(-1) : versions?.get(version);
    },
    remove: (id) => services.delete(id),
    get size() {
      return services.size;
    },
  };
}

function full(id: string, maxServices: number): ServingError {
  const message = `service '${id.slice(0, 64)}' is not ready: the gateway holds ${maxServices} services already`;
  return new ServingError("SERVICE_NOT_READY", message);
}
