import type { AdmissionBlock } from "../../config/admission.ts";
import type { GatewayConfig } from "../../config/gateway.ts";
import { ConfigError } from "../../config/load.ts";
import type { Logger } from "../../config/logger.ts";
import type { AppChange } from "../admission/start.ts";
import type { Change } from "../service-set.ts";
import { type Configuration, isSameConfiguration, type Reading, readConfiguration } from "./read-configuration.ts";

/** How reading the configuration again ended. */
export type ReloadResult =
  | { readonly outcome: "unchanged" }
  | ({ readonly outcome: "applied"; readonly needsRestart: readonly string[] } & AppliedChange)
  | { readonly outcome: "refused"; readonly mistakes: readonly string[] };

/** How what is served has changed, and who may call it where admission is on. */
export interface AppliedChange extends Change {
  readonly apps?: AppChange;
}

/** Serves a gateway's configuration anew when it has changed. */
export interface Reloader {
  /** Reads everything again and serves what has changed. One at a time, and at most one waits; never rejects. */
  reload(): Promise<ReloadResult>;
  /** The files and folders that were read last. */
  sources(): readonly string[];
}

/** What {@link createReloader} works with. */
export interface ReloaderOptions {
  /** Of gateway.yaml. */
  readonly path: string;
  /** What is served, as it was read at the start. */
  readonly first: Reading & { readonly result: Configuration };
  readonly apply: (configuration: Configuration) => Promise<AppliedChange>;
  readonly observe: (result: ReloadResult) => void;
  /** While true, nothing is read or changed any more. */
  readonly isDraining: () => boolean;
  readonly logger: Logger;
}

/** The keys of gateway.yaml that take effect without a restart. */
const reloadable: ReadonlySet<string> = new Set([
  "services",
  "categories",
  "schemas",
  "healthCheck",
  "drainTimeoutMs",
] satisfies (keyof GatewayConfig)[]);

/** Builds a reloader. A configuration with a mistake anywhere changes nothing; what was served before is served on. */
export function createReloader({ path, first, apply, observe, isDraining, logger }: ReloaderOptions): Reloader {
  let served = first.result;
  let { sources } = first;
  const attempt = async (): Promise<ReloadResult> => {
    if (isDraining()) return { outcome: "refused", mistakes: ["the gateway is shutting down"] };
    const reading = await readConfiguration(path, served);
    ({ sources } = reading);
    const { result } = reading;
    if (result instanceof ConfigError) return { outcome: "refused", mistakes: result.mistakes };
    if (isSameConfiguration(served, result)) return { outcome: "unchanged" };
    const change = await apply(result);
    served = result;
    for (const warning of result.warnings) logger.warn({ warning }, "a part of the configuration has no effect");
    return { outcome: "applied", needsRestart: keysThatDiffer(first.result.config, result.config), ...change };
  };
  const attemptAndTell = async (): Promise<ReloadResult> => {
    let result: ReloadResult;
    try {
      result = await attempt();
    } catch (error) {
      logger.error({ err: error }, "the configuration could not be read again");
      result = { outcome: "refused", mistakes: ["the configuration could not be applied: see the log"] };
    }
    tell(logger, path, result);
    observe(result);
    return result;
  };
  let last: Promise<unknown> = Promise.resolve();
  let waiting: Promise<ReloadResult> | undefined;
  return {
    reload() {
      // Whoever asks while one waits for its turn is served by that one.
      waiting ??= last.then(() => {
        waiting = undefined;
        return attemptAndTell();
      });
      last = waiting;
      return waiting;
    },
    sources: () => sources,
  };
}

function tell(logger: Logger, path: string, result: ReloadResult): void {
  if (result.outcome === "refused") {
    const { mistakes } = result;
    logger.error({ path, mistakes }, "the configuration was refused; what was served before is served on");
  } else if (result.outcome === "applied") {
    const { needsRestart, added, removed, changed, apps } = result;
    logger.info({ added, removed, changed, apps }, "the configuration was applied");
    if (needsRestart.length > 0) logger.warn({ keys: needsRestart }, "some changes take effect after a restart only");
  }
}

/**
 * The keys that count from the next start on. Of admission's block the apps, limits and tokens change; but whether there is
 * one at all does not: a block that is lost in an edit must not open the gateway to everybody.
 */
function keysThatDiffer(started: GatewayConfig, now: GatewayConfig): readonly string[] {
  const { admission: before, ...rest } = started;
  const { admission: after, ...others } = now;
  if (before === undefined || after === undefined) return differences(started, now);
  const fixed = ({ signature, redis }: AdmissionBlock) => ({ signature, redis });
  const ofAdmission = differences(fixed(before), fixed(after)).map((key) => `admission.${key}`);
  return [...differences(rest, others), ...ofAdmission];
}

function differences(started: object, now: object): readonly string[] {
  const differs = (key: string): boolean =>
    JSON.stringify(Reflect.get(started, key)) !== JSON.stringify(Reflect.get(now, key));
  return [...new Set([...Object.keys(started), ...Object.keys(now)])].filter(
    (key) => !reloadable.has(key) && differs(key),
  );
}
