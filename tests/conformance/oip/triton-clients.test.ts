import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { addressOf } from "../../../cli/service-process.ts";
import { type Cluster, startCluster } from "./cluster.ts";

const python = process.env.ATHENA_TEST_PYTHON ?? "python3";
const analyzerFolder = process.env.ATHENA_TEST_PERF_ANALYZER ?? "";
const analyzer = join(analyzerFolder, "bin/perf_analyzer");
const analyzerEnvironment = {
  ...process.env,
  LD_LIBRARY_PATH: join(analyzerFolder, "nvidia/cuda_runtime/lib"),
};

let cluster: Cluster;
let addresses: Readonly<Record<"http" | "grpc", string>>;

beforeAll(async () => {
  cluster = await startCluster(["tensors", "halves", "echo"]);
  addresses = { http: new URL(cluster.url).host, grpc: new URL(addressOf(cluster.gateway, "grpc")).host };
});

afterAll(async () => {
  await cluster.stop();
});

async function run(command: string[]): Promise<{ output: string; errors: string; code: number }> {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe", env: analyzerEnvironment });
  const [output, errors, code] = await Promise.all([
    Bun.readableStreamToText(child.stdout),
    Bun.readableStreamToText(child.stderr),
    child.exited,
  ]);
  return { output, errors, code };
}

const common = [
  ...["server_and_models", "every_datatype", "several_at_once_and_some_back", "halves_and_no_numbers"],
  ...["no_elements", "large_tensor", "many_at_once", "mistakes"],
];

describe("Triton's Python client", () => {
  const checks = {
    http: [...common, "json_both_ways", "compression"],
    grpc: [...common, "typed_contents", "stream_with_errors", "sequences_side_by_side"],
  };
  test.each(["http", "grpc"] as const)("passes every check over %s", async (kind) => {
    const script = join(import.meta.dir, "../../interop/oip_client.py");
    const { output, errors } = await run([python, script, kind, addresses[kind]]);
    expect(errors).toBe("");
    expect(output.trim().split("\n")).toEqual(checks[kind]);
  });
});

// Its program is for one kind of machine, and needs a library that not every machine has.
const canRun = (() => {
  try {
    return analyzerFolder !== "" && Bun.spawnSync([analyzer, "--version"], { env: analyzerEnvironment }).success;
  } catch {
    return false;
  }
})();

describe.skipIf(!canRun)("perf_analyzer", () => {
  const shapes = { fp16: "4", bf16: "4" };
  test.each([
    ["http", []],
    ["grpc", []],
    ["grpc", ["--streaming"]],
  ] as const)("measures a model over %s %p, with the server's own times", async (kind, flags) => {
    const bounds = ["--measurement-mode", "count_windows", "--measurement-request-count", "50", "--max-trials", "3"];
    const { output, errors, code } = await run([
      ...[analyzer, "-m", "halves", "-u", addresses[kind], "-i", kind, ...flags, ...bounds],
      // Whatever the times are: the machine is shared.
      ...["--stability-percentage", "999", "--concurrency-range", "2"],
      ...Object.entries(shapes).flatMap(([name, shape]) => ["--shape", `${name}:${shape}`]),
    ]);
    expect(errors).toBe("");
    expect(output).toMatch(/Successful request count: [1-9]/);
    expect(output).toMatch(/Avg request latency: \d+ usec \(overhead \d+ usec \+ queue \d+ usec/);
    expect(output).toMatch(/Concurrency: 2, throughput: [1-9]/);
    expect(code).toBe(0);
  });
});
