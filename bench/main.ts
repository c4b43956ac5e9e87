/** The load generator: `bun run bench`. */
import { optionsFromArguments, usage } from "./arguments.ts";
import { tableFromResult } from "./report.ts";
import { run } from "./run.ts";

try {
  const { target, load, warmupMs, jsonFile, ...options } = await optionsFromArguments(process.argv.slice(2));
  if (warmupMs > 0) await run(target, load, { durationMs: warmupMs });
  const result = await run(target, load, options);
  console.log(tableFromResult(result));
  if (jsonFile !== undefined) await Bun.write(jsonFile, `${JSON.stringify({ load, ...result }, null, 2)}\n`);
  process.exit(0);
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  process.exit(2);
}
