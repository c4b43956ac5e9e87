import { afterEach, describe, expect, test } from "bun:test";
import { addressOf, type ServiceProcess } from "../../cli/service-process.ts";
import { echoEnvelope, echoedText, post, startGateway, startLoader, urlOf } from "./cluster.ts";

const running: ServiceProcess[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((process) => process.stop(5000)));
});

async function startPair(balancer: object, weights: readonly number[] = [1, 1]) {
  const loaders = await Promise.all(weights.map(() => startLoader(["echo"])));
  running.push(...loaders);
  const endpoints = loaders.map((loader, index) => ({ url: urlOf(loader), weight: weights[index] }));
  const gateway = await startGateway([{ id: "echo", endpoints, balancer }]);
  running.push(gateway);
  return { loaders, gateway, url: `${urlOf(gateway)}/echo` };
}

/** How many requests a loader has answered well, by its own count. */
async function answeredBy(loader: ServiceProcess): Promise<number> {
  const text = await (await fetch(`${addressOf(loader, "admin")}/metrics`)).text();
  const counts = [...text.matchAll(/^athena_loader_requests_total\{[^}]*outcome="OK"[^}]*\} (\d+)$/gm)];
  return counts.reduce((sum, match) => sum + Number(match[1]), 0);
}

/** Sends `total` requests, `atOnce` at a time, and gives back those whose answer was not their own. */
async function sendAll(
  url: string,
  total: number,
  atOnce: number,
  onAnswer?: (count: number) => void,
): Promise<string[]> {
  const wrong: string[] = [];
  let next = 0;
  let answered = 0;
  const worker = async (): Promise<void> => {
    while (next < total) {
      const id = `request-${next++}`;
      const { status, body } = await post(url, echoEnvelope(id, `user-${id}`));
      if (status !== 200 || echoedText(body) !== id) wrong.push(`${id}: ${status} ${JSON.stringify(body)}`);
      answered += 1;
      onAnswer?.(answered);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return wrong;
}

describe("1,000 requests to two echo loaders", () => {
  test("are spread by weight with round robin", async () => {
    const { loaders, url } = await startPair({ kind: "round-robin" }, [3, 1]);
    expect(await sendAll(url, 1000, 16)).toEqual([]);
    expect(await Promise.all(loaders.map(answeredBy))).toEqual([750, 250]);
  });

  test("are spread about evenly with least load", async () => {
    const { loaders, url } = await startPair({ kind: "least-load" });
    expect(await sendAll(url, 1000, 16)).toEqual([]);
    const [first = 0, second = 0] = await Promise.all(loaders.map(answeredBy));
    expect(first + second).toBe(1000);
    expect(Math.min(first, second)).toBeGreaterThan(350);
  });

  test("of one user reach one loader with consistent hashing", async () => {
    const { loaders, url } = await startPair({ kind: "consistent-hash", key: { json: "$.header.uid" } });
    for (let i = 0; i < 50; i += 1) await post(url, echoEnvelope("x", "one-user"));
    const counts = await Promise.all(loaders.map(answeredBy));
    expect(counts.toSorted((a, b) => a - b)).toEqual([0, 50]);
  });

  for (const balancer of [
    { kind: "round-robin" },
    { kind: "least-load" },
    { kind: "consistent-hash", key: { json: "$.header.uid" } },
  ]) {
    test(`are all answered, each with its own answer, though one loader is killed, with ${balancer.kind}`, async () => {
      const { loaders, url } = await startPair(balancer);
      const wrong = await sendAll(url, 1000, 32, (count) => {
        if (count === 300) loaders[0]?.kill("SIGKILL");
      });
      expect(wrong).toEqual([]);
    });
  }
});
