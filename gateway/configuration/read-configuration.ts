import { dirname, resolve } from "node:path";
import { type GatewayConfig, gatewayConfigSchema } from "../../config/gateway.ts";
import { ConfigError, type Located, loadLocated } from "../../config/load.ts";
import { type CategoryPlan, planCategory, planFileCategory } from "./category-plan.ts";
import { lostRules, noteLoops, noteSharedClaims, noteUnknownServices } from "./cross-checks.ts";
import { type LocatedSchemaFile, readSchemaFiles, schemaFilesAt } from "./schema-files.ts";
import { mayCarryBody, planService, type ServicePlan } from "./service-plan.ts";

/** Everything that a gateway is told: its file, and the schema files that this one names. */
export interface Configuration {
  readonly config: GatewayConfig;
  readonly services: readonly ServicePlan[];
  readonly categories: readonly CategoryPlan[];
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
  const inUse = files.filter(({ file }) => file.cloudId === "");
  const services = planServices(located, inUse, mistakes);
  const own = planCategories(located, mistakes);
  const fromFiles = planFileCategories(inUse, mistakes);
  const categories = [...own, ...fromFiles];
  noteUnknownServices(located, { services, categories }, mistakes);
  const warnings = [...uselessIn(files, services), ...lostRules(fromFiles, { services, categories })];
  noteSharedClaims(located, { services, categories }, mistakes, warnings);
  noteLoops(categories, mistakes);
  if (mistakes.length > 0) throw new ConfigError(path, mistakes);
  return { config: located.value, services, categories, warnings };
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
  const ofServices = files.filter(({ file }) => !file.isCategory);
  const byId = new Map(ofServices.map((located) => [located.file.serviceId, located]));
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

function planCategories({ value, mistakeAt }: LocatedConfig, mistakes: string[]): readonly CategoryPlan[] {
  return value.categories.map((config, index) =>
    planCategory(config, (path, message) => mistakes.push(mistakeAt(["categories", index, ...path], message))),
  );
}

function planFileCategories(files: readonly LocatedSchemaFile[], mistakes: string[]): readonly CategoryPlan[] {
  return files
    .filter(({ file }) => file.isCategory)
    .map(({ file, mistakeAt }) => planFileCategory(file, (path, message) => mistakes.push(mistakeAt(path, message))));
}

function uselessIn(files: readonly LocatedSchemaFile[], services: readonly ServicePlan[]): readonly string[] {
  const used = new Set(services.map(({ file }) => file));
  return files.flatMap(({ name, file }) => {
    if (file.cloudId !== "") return [`${name}: it belongs to the cloud '${file.cloudId}', which no request reaches`];
    if (!file.isCategory && !used.has(file)) {
      return [`${name}: no service of gateway.yaml uses it, so its requests lead nowhere`];
    }
    const statuses = Object.entries(file.codeMap).filter(([, status]) => !mayCarryBody(status));
    const keys = [...file.ignored, ...statuses.map(([code]) => `codeMap.${code}`)];
    return keys.map((key) => `${name}: meta.${key} has no effect here`);
  });
}
