import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger } from "pino";

const levels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

/**
 * Builds a process's logger: JSON lines on standard output, errors with their chain of causes. The level comes from
 * the environment's LOG_LEVEL, else it is `info`.
 *
 * @throws Error when LOG_LEVEL is none of pino's levels.
 */
export function createLogger(name: string, destination?: DestinationStream): Logger {
  const level = process.env.LOG_LEVEL ?? "info";
  if (!levels.includes(level)) throw new Error(`LOG_LEVEL: expected one of ${levels.join(", ")}`);
  const options = { name, level, base: { name }, formatters: { level: (label: string) => ({ level: label }) } };
  return destination === undefined ? pino(options) : pino(options, destination);
}
