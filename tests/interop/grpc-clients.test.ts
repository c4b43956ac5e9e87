import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { addressOf } from "../../cli/service-process.ts";
import { type Cluster, startCluster } from "../conformance/oip/cluster.ts";
import { goTool, runGo } from "../go-tool.ts";

const root = join(import.meta.dir, "../..");
const python = process.env.ATHENA_TEST_PYTHON ?? "python3";
const buf = join(root, "node_modules/.bin/buf");
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster(["echo"]);
});

afterAll(async () => {
  await cluster.stop();
});

async function run(command: readonly string[], input?: Uint8Array): Promise<string> {
  const child = Bun.spawn([...command], {
    cwd: root,
    stdin: input ?? "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 50_000,
  });
  const [output, errors] = await Promise.all([new Response(child.stdout).bytes(), new Response(child.stderr).text()]);
  const code = await child.exited;
  expect(code, errors).toBe(0);
  return Buffer.from(output).toString("latin1");
}

test("Python's gRPC client passes every check", async () => {
  const descriptors = Buffer.from(await run([buf, "build", "proto", "--as-file-descriptor-set", "-o", "-"]), "latin1");
  const script = join(import.meta.dir, "grpc_client.py");
  const output = await run([python, script, new URL(addressOf(cluster.gateway, "grpc")).host], descriptors);
  expect(output.trim().split("\n")).toEqual(["once", "stream", "session", "errors", "deadline_and_cancellation"]);
});

test("a Go client passes every check over Connect, gRPC-Web and gRPC", async () => {
  const folder = join(root, ".cache/go-client");
  const source = join(import.meta.dir, "go-client");
  await goTool("protoc-gen-go", "google.golang.org/protobuf/cmd/protoc-gen-go", "v1.36.12");
  await goTool("protoc-gen-connect-go", "connectrpc.com/connect/cmd/protoc-gen-connect-go", "v1.21.1");
  await cp(source, folder, { recursive: true });
  await run([buf, "generate", "--template", join(source, "buf.gen.yaml")]);
  await runGo(["build", "-o", "client", "."], folder);
  const output = await run([join(folder, "client"), cluster.url, addressOf(cluster.gateway, "grpc")]);
  const checks = ["once", "stream", "session", "errors", "deadline"];
  const protocols = ["connect", "connect json", "grpc-web", "grpc"];
  expect(output.trim().split("\n")).toEqual(protocols.flatMap((name) => checks.map((check) => `${name}: ${check}`)));
}, 300_000);
