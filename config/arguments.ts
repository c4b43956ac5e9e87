import { parseArgs } from "node:util";

/**
 * Where a process's configuration is: the argument `--config FILE`, else the environment variable, else the default.
 *
 * @throws TypeError for an argument that it does not know.
 */
export function configPathFromProcess(environmentName: string, defaultPath: string): string {
  const { values } = parseArgs({ options: { config: { type: "string" } } });
  return values.config ?? process.env[environmentName] ?? defaultPath;
}
