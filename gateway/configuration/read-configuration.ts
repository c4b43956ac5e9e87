import { dirname, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type GatewayConfig, gatewayConfigSchema } from "../../config/gateway.ts";
import { ConfigError, type Located, parseLocated, readConfig } from "../../config/load.ts";
import { type AdmissionConfig, readAdmission } from "../../config/read-admission.ts";
import { type CategoryPlan, planCategory, planFileCategory } from "./category-plan.ts";
import { lostRules, noteLoops, noteSharedClaims, noteUnknownServices } from "./cross-checks.ts";
import { type LocatedSchemaFile, readSchemaFiles, reasonOf, type SchemaFiles, schemaFilesAt } from "./schema-files.ts";
import { mayCarryBody, planService, type ServicePlan } from "./service-plan.ts";

/** Everything that a gateway is told: its file, and the files that this one names. */
export interface Configuration {
  readonly config: GatewayConfig;
  readonly services: readonly ServicePlan[];
  readonly categories: readonly CategoryPlan[];
  /** With the secrets and key sets of the files that it names. Undefined: everybody may. */
  readonly admission: AdmissionConfig | undefined;
  /** What has no effect, though somebody wrote it down, for the log. */
  readonly warnings: readonly string[];
  /** The text of gateway.yaml. */
  readonly text: string;
  readonly schemaFiles: SchemaFiles;
}

/** A configuration as it was found. */
export interface Reading {
  /** What it was read from, good or not: gateway.yaml, and the files and folders that it names; absolute. */
  readonly sources: readonly string[];
  /** The mistakes in any of them, each with its file and line, where there are some. */
  readonly result: Configuration | ConfigError;
}

/**
 * Reads gateway.yaml and the files that it names, relative to its folder. Services of which nothing has changed since
 * `previous` keep their plans.
 */
export async function readConfiguration(path: string, previous?: Configuration): Promise<Reading> {
  const sources = [resolve(path)];
  try {
    return { sources, result: await readInto(sources, path, previous) };
  } catch (error) {
    if (error instanceof ConfigError) return { sources, result: error };
    throw error;
  }
}

/** Whether two configurations were read from the same texts. */
export function isSameConfiguration(one: Configuration, other: Configuration): boolean {
  const { schemaFiles } = other;
  return (
    one.text === other.text &&
    isDeepStrictEqual(one.admission, other.admission) &&
    one.schemaFiles.size === schemaFiles.size &&
    [...one.schemaFiles].every(([path, { text }]) => schemaFiles.get(path)?.text === text)
  );
}

async function readInto(sources: string[], path: string, previous: Configuration | undefined): Promise<Configuration> {
  const text = readConfig(path);
  const located = parseLocated(text, gatewayConfigSchema, path);
  sources.push(...located.value.schemas.map((given) => resolve(dirname(path), given)));
  const mistakes: string[] = [];
  const paths = await pathsOf(located, sources.slice(1), mistakes);
  const admission = admissionOf(located, dirname(path), sources, mistakes);
  const schemaFiles = await readSchemaFiles(paths, previous?.schemaFiles ?? new Map(), mistakes);
  const files = [...schemaFiles.values()];
  const inUse = files.filter(({ file }) => file.cloudId === "");
  const services = planServices(located, inUse, previous, mistakes);
  const own = planCategories(located, mistakes);
  const fromFiles = planFileCategories(inUse, mistakes);
  const categories = [...own, ...fromFiles];
  const warnings = [...uselessIn(files, services), ...lostRules(fromFiles, { services, categories })];
  noteUnknownServices(located, { services, categories }, mistakes);
  noteSharedClaims(located, { services, categories }, mistakes, warnings);
  noteLoops(categories, mistakes);
  if (mistakes.length > 0) throw new ConfigError(path, mistakes);
  return { config: located.value, services, categories, admission, warnings, text, schemaFiles };
}

type LocatedConfig = Located<GatewayConfig>;

function admissionOf(
  { value }: LocatedConfig,
  folder: string,
  sources: string[],
  mistakes: string[],
): AdmissionConfig | undefined {
  if (value.admission === undefined) return undefined;
  try {
    return readAdmission(value.admission, resolve(folder), (file) => sources.push(file));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    mistakes.push(...error.mistakes.map((mistake) => `admission: ${mistake}`));
    return undefined;
  }
}

async function pathsOf(
  { value, mistakeAt }: LocatedConfig,
  sources: readonly string[],
  mistakes: string[],
): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const [index, source] of sources.entries()) {
    try {
      paths.push(...(await schemaFilesAt(source)));
    } catch (error) {
      mistakes.push(mistakeAt(["schemas", index], `'${value.schemas[index]}' cannot be read (${reasonOf(error)})`));
    }
  }
  return paths;
}

function planServices(
  { value, mistakeAt }: LocatedConfig,
  files: readonly LocatedSchemaFile[],
  previous: Configuration | undefined,
  mistakes: string[],
): readonly ServicePlan[] {
  const before = new Map(previous?.services.map((plan) => [plan.config.id, plan]));
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
      return [planService(config, located?.file, before.get(config.id))];
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

function uselessIn(files: readonly LocatedSchemaFile[], services: readonly ServicePlan[]): string[] {
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
