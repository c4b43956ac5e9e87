import { expect, test } from "bun:test";
import { join } from "node:path";
import { addressOf } from "../../cli/service-process.ts";
import { startCluster } from "../conformance/oip/cluster.ts";

const root = join(import.meta.dir, "../..");
const python = process.env.ATHENA_TEST_PYTHON ?? "python3";

test("gRPC's own health client for Python checks, lists and watches a service, and is told when its loader ends", async () => {
  const cluster = await startCluster(["echo"]);
  const script = join(import.meta.dir, "health_client.py");
  const build = ["build", "proto", "--path", "proto/grpc/health", "--as-file-descriptor-set", "-o", "-"];
  const descriptors = Bun.spawnSync([join(root, "node_modules/.bin/buf"), ...build], { cwd: root });
  expect(descriptors.exitCode, descriptors.stderr.toString()).toBe(0);
  const client = Bun.spawn([python, script, new URL(addressOf(cluster.gateway, "grpc")).host], {
    stdin: descriptors.stdout,
    stdout: "pipe",
    stderr: "pipe",
    timeout: 50_000,
  });
  const errors = new Response(client.stderr).text();
  const decoder = new TextDecoder();
  let output = "";
  for await (const chunk of client.stdout) {
    output += decoder.decode(chunk, { stream: true });
    if (output.endsWith("watching\n")) await cluster.loader.stop();
  }
  expect(await client.exited, await errors).toBe(0);
  expect(output.trim().split("\n")).toEqual(["check", "list", "watching", "watch", "list of a change"]);
  await cluster.gateway.stop();
});
