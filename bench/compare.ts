/**
 * What the gateway itself costs: one gateway process with an echo loader behind it, beside nginx passing bytes through to
 * the same loader, in the same run. `bun run bench:gateway`.
 */
import { join } from "node:path";
import { addressOf, startServiceProcess, waitUntilReady } from "../cli/service-process.ts";
import { startNginx } from "./nginx.ts";
import { run } from "./run.ts";
import { createTarget, type Protocol, type Target } from "./target.ts";

const rounds = 5;
const concurrency = 64;
const roundMs = 2000;
const local = { host: "127.0.0.1", port: 0 };
// A small text, and the size of the demo's picture.
const payloads = [1024, 38_186];

interface Contender {
  readonly name: string;
  readonly protocol: Protocol;
  readonly url: string;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function targetOf({ url, protocol }: Contender, bytes: number): Target {
  const payload = new Uint8Array(bytes).fill(97);
  const echo = { service: "echo", input: "data", type: "text", expectEcho: true } as const;
  return createTarget({ url, unix: undefined, protocol, payload, ...echo });
}

/** Right answers a second of each contender, in turns, so that a disturbance of the machine hits all alike. */
async function measure(contenders: readonly Contender[], bytes: number): Promise<Map<string, number>> {
  const figures = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (const contender of contenders) {
      const load = { kind: "closed", concurrency } as const;
      const result = await run(targetOf(contender, bytes), load, { durationMs: round < 0 ? 500 : roundMs });
      const wrong = Object.keys(result.outcomes).filter((outcome) => outcome !== "200");
      if (wrong.length > 0) throw new Error(`${contender.name}: ${JSON.stringify(result.outcomes)}`);
      if (round >= 0) figures.get(contender.name)?.push(result.throughput);
    }
  }
  return new Map([...figures].map(([name, values]) => [name, median(values)]));
}

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const services = [join(import.meta.dir, "../config/services/echo")];
  const loader = await startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify({ listen: local, admin: local, services }),
  });
  stack.defer(async () => void (await loader.stop(5000)));
  const loaderUrl = addressOf(loader, "public");
  const gateway = await startServiceProcess({
    main: "gateway/main.ts",
    // nginx writes no access log either.
    config: JSON.stringify({
      listen: local,
      grpcListen: local,
      admin: local,
      accessLog: false,
      services: [{ id: "echo", endpoints: [loaderUrl] }],
    }),
  });
  stack.defer(async () => void (await gateway.stop(5000)));
  await waitUntilReady(gateway, ["echo"]);
  const nginx = stack.use(await startNginx(loaderUrl));
  const contenders: readonly Contender[] = [
    { name: "loader alone", protocol: "connect", url: loaderUrl },
    { name: "nginx → loader", protocol: "connect", url: nginx.url },
    { name: "gateway → loader", protocol: "http-json", url: addressOf(gateway, "public") },
  ];
  console.log(`${concurrency} connections, closed loop, median of ${rounds} rounds of ${roundMs / 1000} s in turns\n`);
  console.log(
    "| payload | loader alone | nginx → loader | gateway → loader | gateway / nginx |\n|---|---|---|---|---|",
  );
  for (const bytes of payloads) {
    const figures = await measure(contenders, bytes);
    const of = (name: string): number => figures.get(name) ?? 0;
    const ratio = of("gateway → loader") / of("nginx → loader");
    const cells = contenders.map(({ name }) => `${(of(name) / 1000).toFixed(1)}k/s`);
    console.log(`| ${bytes} B | ${cells.join(" | ")} | ${ratio.toFixed(2)} |`);
  }
}

await main();
process.exit(0);
