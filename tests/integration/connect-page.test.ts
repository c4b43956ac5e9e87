import { afterAll, beforeAll, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { addressOf } from "../../cli/service-process.ts";
import { type Cluster, startCluster } from "../conformance/oip/cluster.ts";
import { goTool } from "../go-tool.ts";
import { blocksOf } from "./page.ts";

const page = join(import.meta.dir, "../../docs/connect-grpc.md");
let cluster: Cluster;
let tools: string;

beforeAll(async () => {
  tools = dirname(await goTool("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3"));
  cluster = await startCluster(["echo"]);
}, 300_000);

afterAll(async () => {
  await cluster.stop();
});

/** Runs a block of the page against the running gateway. */
async function outputOf(block: string): Promise<string> {
  const script = block
    .replace("127.0.0.1:30889", new URL(cluster.url).host)
    .replace("127.0.0.1:30890", new URL(addressOf(cluster.gateway, "grpc")).host)
    .replace("curl http", "curl -s http");
  const env = { ...process.env, PATH: `${tools}:${process.env.PATH}` };
  const child = Bun.spawn(["sh", "-c", script], { env, stdout: "pipe", stderr: "pipe", timeout: 30_000 });
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect(errors).toBe("");
  return output;
}

test("the page's examples do what it says", async () => {
  const [curl = "", list = "", session = ""] = await blocksOf(page, "sh");
  expect(JSON.parse(await outputOf(curl))).toMatchObject({
    service: "echo",
    status: "STATUS_ONCE",
    parts: [{ name: "data", data: "aGVsbG8=" }],
  });
  const services = (await outputOf(list)).trim().split("\n");
  const text = await Bun.file(page).text();
  const named = [...new Set(text.match(/(?<=^\| `)[\w.]+/gm))];
  expect(named.length).toBe(4);
  expect(services).toEqual(expect.arrayContaining(named));
  const results = await outputOf(session);
  expect(results.match(/"data": "\w+=*"/g)).toEqual(['"data": "b25l"', '"data": "dHdv"']);
});

test("grpcurl shows an error's reason, and describes what the contract has", async () => {
  const call = 'grpcurl -plaintext -d \'{"service":"nobody"}\' 127.0.0.1:30890 athena.v1.InferenceService/Infer';
  const output = await outputOf(`${call} 2>&1 || true`);
  expect(output).toContain("service 'nobody' not found");
  expect(output).toContain('"reason": "SERVICE_NOT_FOUND"');
  expect(await outputOf("grpcurl -plaintext 127.0.0.1:30890 describe athena.v1.ErrorDetail")).toContain("legacy_code");
});
