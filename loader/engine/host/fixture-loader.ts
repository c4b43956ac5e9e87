/** A loader for tests: it gives its one worker a call that never ends, and then waits to be killed. */
import { join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import { createLogger } from "../../../config/logger.ts";
import { createSupervisor } from "./supervisor.ts";

const never = new AbortController().signal;
const supervisor = createSupervisor({
  service: "fixture",
  command: [process.execPath, join(import.meta.dir, "fixture-worker.ts")],
  env: childEnvironment(),
  config: {},
  workers: 1,
  startTimeoutMs: 20_000,
  stopGraceMs: 1000,
  cancelGraceMs: 1000,
  maxFrameBytes: 1_000_000,
  // On standard output, where the test waits for the line of the worker that loops.
  logger: createLogger("fixture"),
  now: () => performance.now(),
  random: () => 0,
  onHealth: () => {},
  onProgress: () => {},
});
await supervisor.start(never);
await supervisor.infer(
  {
    $typeName: "athena.v1.InferRequest",
    service: "fixture",
    version: "",
    sid: "s",
    headers: {},
    parameters: { do: "loop" },
    expects: [],
    parts: [],
    resourceIds: [],
    priority: 0,
  },
  never,
);
