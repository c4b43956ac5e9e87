import { readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { z } from "zod";
import {
  type AdmissionBlock,
  type AppBlock,
  type AppLimits,
  appsFileSchema,
  type RedisConfig,
  type SignatureConfig,
  type TokenIssuerConfig,
} from "./admission.ts";
import { ConfigError, loadConfig } from "./load.ts";
import { redisUrlMistake } from "./redis-url.ts";

/** One app with everything that its block only named. */
export interface AppConfig {
  readonly id: string;
  readonly services: readonly string[];
  readonly modelControl: boolean;
  /** `<id>:<SHA-256 in hex>`. */
  readonly keys: readonly string[];
  readonly signatureKeys: readonly { readonly key: string; readonly secret: string }[];
  readonly limits: AppLimits;
}

/** An issuer of tokens; a key set that stands in a file has been read. */
export interface TokenIssuer extends TokenIssuerConfig {
  /** The text of `jwksFile`. */
  readonly jwks: string | undefined;
}

/** The shared store of limits, its URL read. */
export interface SharedLimitsConfig extends RedisConfig {
  readonly url: string;
}

/** The admission block, complete: secrets are read, and every app has its limits. */
export interface AdmissionConfig {
  readonly apps: readonly AppConfig[];
  readonly signature: SignatureConfig;
  readonly tokens: readonly TokenIssuer[];
  readonly redis: SharedLimitsConfig | undefined;
}

/**
 * Reads the files and the environment variables that an admission block names; `folder` is the configuration file's.
 * A relative path begins at the folder of the file in which it stands. `noteFile` is told of every file before it is
 * read, by its absolute path.
 *
 * @throws ConfigError with every one of them that cannot be had, by its key; never with what is in them.
 */
export function readAdmission(
  block: AdmissionBlock,
  folder: string,
  noteFile: (path: string) => void = () => {},
): AdmissionConfig {
  const mistakes: string[] = [];
  const attempt = (key: string, read: () => string): string => {
    try {
      return read();
    } catch (error) {
      mistakes.push(`${key}: ${error instanceof Error ? error.message : String(error)}`);
      return "";
    }
  };
  const textOf = (path: string, from: string): string => {
    noteFile(resolve(from, path));
    return textOfFile(path, from);
  };
  const appsPath = block.appsFile === undefined ? undefined : resolve(folder, block.appsFile);
  if (appsPath !== undefined) noteFile(appsPath);
  const apps = appsPath === undefined ? (block.apps ?? []) : appsOf(appsPath, mistakes);
  const appsFolder = appsPath === undefined ? folder : dirname(appsPath);
  const config: AdmissionConfig = {
    apps: apps.map((app, index) => ({
      ...app,
      limits: { ...block.limits, ...app.limits },
      signatureKeys: app.signatureKeys.map((entry, at) => ({
        key: entry.key,
        secret: attempt(`apps.${index}.signatureKeys.${at}`, () => secretOf(entry, (path) => textOf(path, appsFolder))),
      })),
    })),
    signature: block.signature,
    tokens: block.tokens.map((issuer, index) => ({
      ...issuer,
      jwks:
        issuer.jwksFile === undefined
          ? undefined
          : attempt(`tokens.${index}.jwksFile`, () => keySetOf(issuer.jwksFile ?? "", (path) => textOf(path, folder))),
    })),
    redis: block.redis && {
      ...block.redis,
      url: block.redis.url ?? attempt("redis.urlEnv", () => redisUrlOf(block.redis?.urlEnv ?? "")),
    },
  };
  if (mistakes.length > 0) throw new ConfigError("admission", mistakes);
  return config;
}

function appsOf(path: string, mistakes: string[]): readonly AppBlock[] {
  try {
    return loadConfig(path, appsFileSchema).apps;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    mistakes.push(...error.mistakes.map((mistake) => `${basename(path)}: ${mistake}`));
    return [];
  }
}

const keySetSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

function keySetOf(path: string, textOf: (path: string) => string): string {
  const text = textOf(path);
  // What is wrong with it is not told: it may be another file, with secrets in it.
  if (!keySetSchema.safeParse(parsed(text)).success) throw new Error(`${path} is not a JSON Web Key Set`);
  return text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function secretOf(entry: AppBlock["signatureKeys"][number], textOf: (path: string) => string): string {
  if (entry.secret !== undefined) return entry.secret;
  const secret = entry.secretEnv === undefined ? textOf(entry.secretFile ?? "").trim() : variable(entry.secretEnv);
  if (secret.length < 16) throw new Error("the secret has fewer than 16 characters");
  return secret;
}

function redisUrlOf(name: string): string {
  const url = variable(name);
  const mistake = redisUrlMistake(url);
  if (mistake !== undefined) throw new Error(`in the environment variable ${name}: ${mistake}`);
  return url;
}

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`the environment variable ${name} is not set`);
  return value;
}

function textOfFile(path: string, folder: string): string {
  try {
    return readFileSync(resolve(folder, path), "utf8");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new Error(`${path} cannot be read (${reason})`, { cause: error });
  }
}
