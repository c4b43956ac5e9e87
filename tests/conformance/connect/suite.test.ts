import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type ConformanceTool, prepareConformance } from "./tool.ts";

let tool: ConformanceTool;

beforeAll(async () => {
  tool = await prepareConformance();
}, 300_000);

/** Runs a part of the suite; its closing lines and what failed. */
async function runSuite(httpVersion: 1 | 2, protocol: string): Promise<{ passed: number; text: string }> {
  const cases = `**/HTTPVersion:${httpVersion}/Protocol:PROTOCOL_${protocol}/**`;
  const config = join(import.meta.dir, "config.yaml");
  const server = [process.execPath, join(import.meta.dir, "server.ts"), tool.descriptors];
  const options = ["--mode", "server", "--conf", config, "--run", cases, "--parallel", "4"];
  const child = Bun.spawn([tool.runner, ...options, "--", ...server], {
    stdout: "pipe",
    stderr: "pipe",
    timeout: 55_000,
  });
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  const text = `${errors}${output}`.trim();
  return { passed: Number(/^(\d+) passed, 0 failed$/m.exec(text)?.[1] ?? 0), text: text.slice(-4000) };
}

describe("the Connect project's conformance suite passes, every case of it,", () => {
  test.each([
    ["Connect over HTTP/1.1", 1, "CONNECT", 443],
    ["Connect over HTTP/2", 2, "CONNECT", 497],
    ["gRPC-Web over HTTP/1.1", 1, "GRPC_WEB", 443],
    ["gRPC-Web over HTTP/2", 2, "GRPC_WEB", 497],
    ["gRPC", 2, "GRPC", 677],
  ] as const)("for %s", async (_, httpVersion, protocol, cases) => {
    const { passed, text } = await runSuite(httpVersion, protocol);
    expect(passed, text).toBe(cases);
  });
});
