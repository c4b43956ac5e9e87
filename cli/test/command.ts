import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LocatedManifest } from "../../loader/manifest/manifest.ts";
import { build } from "../build.ts";
import { loaderConfigFrom } from "../configuration.ts";
import { CommandFailure } from "../failure.ts";
import { createLoaderApi, type LoaderApi, type ServiceStatus } from "../loader-api.ts";
import { createProcesses } from "../processes.ts";
import { readableLog } from "../readable-log.ts";
import { locateServices } from "../service-folder.ts";
import { addressOf } from "../service-process.ts";
import { type TestValues, testValuesFrom } from "../test-values.ts";
import { checkOnce, checkStream } from "./checks.ts";
import { checkExpected, type Expected, readExpected } from "./expected.ts";
import { type CheckedCall, tableFrom } from "./report.ts";

/** What `athena test` is told. */
export interface TestOptions {
  /** A file of expected outputs; expected.json in a service's folder unless told. */
  readonly expect?: string;
}

/** How many log lines are kept, to be shown when something fails. */
const maxLogLines = 200;

/**
 * Starts services, calls every interface that they have with their test values, checks the answers, and prints a table of it.
 * Gives the exit code: 0 when everything passed.
 */
export async function testServices(paths: readonly string[], options: TestOptions): Promise<number> {
  await using cleanup = new AsyncDisposableStack();
  const services = locateServices(paths);
  const expected = new Map(services.map((service) => [service.manifest.id, expectedOf(service, options)]));
  const processes = cleanup.use(createProcesses());
  for (const service of services) await processes.during(build(service, processes.signal));
  const log: string[] = [];
  const note = (text: string | undefined): void => {
    if (text !== undefined) log.push(text);
    if (log.length > maxLogLines) log.shift();
  };
  const started = performance.now();
  const loader = await processes.start("loader", {
    main: "loader/main.ts",
    config: loaderConfigFrom(services, 0),
    onLog: (line) => note(readableLog(line)),
    onText: note,
  });
  using api = createLoaderApi(addressOf(loader, "public"));
  const statuses = await processes.during(api.untilSettled(processes.signal));
  const loadMs = performance.now() - started;
  let isPassed = true;
  for (const status of statuses) {
    const calls = await processes.during(checkService(api, status, loadMs, expected.get(status.id) ?? {}));
    console.log(`${tableFrom(status.id, calls)}\n`);
    isPassed &&= calls.every(({ checks }) => checks.every((check) => check.isPassed));
  }
  // What it still has to say is read by then.
  await processes.stop();
  if (!isPassed && log.length > 0) console.log(`What the loader said:\n${log.join("\n")}\n`);
  console.log(isPassed ? "Everything passed." : "Not everything passed.");
  return isPassed ? 0 : 1;
}

async function checkService(
  api: LoaderApi,
  { id, isReady, reason }: ServiceStatus,
  loadMs: number,
  expected: Expected,
): Promise<readonly CheckedCall[]> {
  const load = { name: "is ready", isPassed: isReady, detail: reason, durationMs: loadMs };
  const calls: CheckedCall[] = [{ call: "load", checks: [load] }];
  if (!isReady) return calls;
  const definition = await api.describe(id);
  const values = valuesOrMistake(() => testValuesFrom(definition));
  if (typeof values === "string") {
    calls.push({ call: "call", checks: [{ name: "has test values", isPassed: false, detail: values }] });
    return calls;
  }
  if (definition.once) {
    const checks = await checkOnce(api, definition, values, (parts) => checkExpected(expected, parts));
    calls.push({ call: "once", checks });
  }
  if (definition.stream) calls.push({ call: "stream", checks: await checkStream(api, definition, values) });
  return calls;
}

function valuesOrMistake(read: () => TestValues): TestValues | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof CommandFailure) return error.message;
    throw error;
  }
}

function expectedOf({ folder }: LocatedManifest, { expect }: TestOptions): Expected {
  if (expect !== undefined) return readExpected(expect);
  const file = join(folder, "expected.json");
  return existsSync(file) ? readExpected(file) : {};
}
