import { dirname, resolve } from "node:path";
import { type GatewayConfig, gatewayConfigSchema } from "../../config/gateway.ts";
import { ConfigError, type Located, loadLocated } from "../../config/load.ts";
import { type LocatedSchemaFile, readSchemaFiles, schemaFilesAt } from "./schema-files.ts";
import { planService, type ServicePlan } from "./service-plan.ts";

/** Everything that a gateway is told: its file, and the schema files that this one names. */
export interface Configuration {
  readonly config: GatewayConfig;
  readonly services: readonly ServicePlan[];
  /** What has no effect, though somebody wrote it down, for the log. */
  readonly warnings: readonly string[];
}

/**
 * Reads gateway.yaml and the schema files that it names, relative to its folder.
 *
 * @throws ConfigError with every mistake in any of them, each with its file and line.
 */
export function readConfiguration(path: string): Configuration {
  const located = loadLocated(path, gatewayConfigSchema);
  const mistakes: string[] = [];
  const files = readSchemaFiles(pathsOf(located, dirname(resolve(path)), mistakes), mistakes);
  const services = planServices(located, files, mistakes);
  noteSharedRoutes(located, services, mistakes);
  if (mistakes.length > 0) throw new ConfigError(path, mistakes);
  return { config: located.value, services, warnings: warningsOf(files, services) };
}

type LocatedConfig = Located<GatewayConfig>;

function pathsOf({ value, mistakeAt }: LocatedConfig, folder: string, mistakes: string[]): readonly string[] {
  return value.schemas.flatMap((given, index) => {
    try {
      return schemaFilesAt(resolve(folder, given));
    } catch (error) {
      const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
      mistakes.push(mistakeAt(["schemas", index], `'${given}' cannot be read (${reason})`));
      return [];
    }
  });
}

function planServices(
  { value, mistakeAt }: LocatedConfig,
  files: readonly LocatedSchemaFile[],
  mistakes: string[],
): readonly ServicePlan[] {
  const usable = files.filter(({ file }) => file.cloudId === "" && !file.isCategory);
  const byId = new Map(usable.map((located) => [located.file.serviceId, located]));
  const used = new Map<LocatedSchemaFile, string>();
  return value.services.flatMap((config, index) => {
    const wanted = config.schema ?? config.id;
    const located = byId.get(wanted);
    if (located === undefined && config.schema !== undefined) {
      mistakes.push(mistakeAt(["services", index, "schema"], `no schema file has the serviceId '${wanted}'`));
      return [];
    }
    const other = located && used.get(located);
    if (located !== undefined && other !== undefined) {
      mistakes.push(mistakeAt(["services", index], `${located.name} describes '${other}' already`));
    }
    if (located !== undefined) used.set(located, config.id);
    try {
      return [planService(config, located?.file)];
    } catch (error) {
      mistakes.push(`${located?.name}: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
  });
}

/** Two services behind one path would hide each other, and which one it is would depend on their order. */
function noteSharedRoutes({ mistakeAt }: LocatedConfig, services: readonly ServicePlan[], mistakes: string[]): void {
  const owners = new Map<string, string>();
  for (const { config, ids, routes } of services) {
    const claims = [
      ...ids.map((id) => `the id '${id}'`),
      ...routes.flatMap(({ path, hosts }) =>
        hosts.length === 0 ? [`the path '${path}'`] : hosts.map((host) => `the path '${path}' of host '${host}'`),
      ),
    ];
    for (const claim of new Set(claims)) {
      const owner = owners.get(claim);
      if (owner !== undefined)
        mistakes.push(mistakeAt(["services"], `${claim} leads to '${owner}' and to '${config.id}'`));
      owners.set(claim, config.id);
    }
  }
}

function warningsOf(files: readonly LocatedSchemaFile[], services: readonly ServicePlan[]): readonly string[] {
  const used = new Set(services.map(({ file }) => file));
  return files.flatMap(({ name, file }) => {
    if (file.cloudId !== "") return [`${name}: it belongs to the cloud '${file.cloudId}', which no request reaches`];
    if (!used.has(file)) return [`${name}: no service of gateway.yaml uses it, so its requests lead nowhere`];
    return file.ignored.map((key) => `${name}: meta.${key} has no effect here`);
  });
}
