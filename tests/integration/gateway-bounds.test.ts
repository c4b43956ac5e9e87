import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { addressOf, type ServiceProcess } from "../../cli/service-process.ts";
import { echoEnvelope, echoedText, post, startGateway, startLoader, urlOf } from "./cluster.ts";

let loader: ServiceProcess;
let gateway: ServiceProcess;
let url: string;

beforeAll(async () => {
  loader = await startLoader(["echo"]);
  gateway = await startGateway([{ id: "echo", endpoints: [urlOf(loader)], timeoutMs: 1500 }], {
    limits: { maxRequestsInFlight: 2 },
  });
  url = `${urlOf(gateway)}/echo`;
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

async function inFlight(): Promise<number> {
  const text = await (await fetch(`${addressOf(gateway, "admin")}/metrics`)).text();
  return Number(/^athena_gateway_requests_in_flight (\d+)$/m.exec(text)?.[1]);
}

async function until(count: number): Promise<void> {
  const deadline = performance.now() + 5000;
  while ((await inFlight()) !== count) {
    if (performance.now() > deadline) throw new Error(`there were never ${count} requests in flight`);
    await Bun.sleep(10);
  }
}

/** Sends text on a connection of its own and gives what comes back until the other side closes it. */
function exchange(text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    let received = "";
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.on("data", (chunk) => {
      received += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(received));
  });
}

describe("the gateway", () => {
  test("refuses what is more than it may have under way, and takes the next when something is over", async () => {
    const slow = [1, 2].map((i) => post(url, echoEnvelope(`${i}`, "u", { delayMs: 500 })));
    await until(2);
    const refused = await post(url, echoEnvelope("x"));
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(refused.body.header.code).toBe(10110);
    expect((await Promise.all(slow)).map((answer) => echoedText(answer.body))).toEqual(["1", "2"]);
    expect((await post(url, echoEnvelope("x"))).status).toBe(200);
    expect(await inFlight()).toBe(0);
  });

  test("waits for a body no longer than the service may take, and has the place back then", async () => {
    const head = `POST /echo HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n`;
    const [declared, chunked] = await Promise.all([
      exchange(`${head}Content-Length: 100\r\n\r\n{`),
      exchange(`${head}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`),
    ]);
    for (const answer of [declared, chunked]) {
      expect(answer).toStartWith("HTTP/1.1 504 ");
      expect(answer).toContain("the request body was not complete within 1500 ms");
    }
    expect(await inFlight()).toBe(0);
  });

  test("refuses headers that are too many or too large, and goes on", async () => {
    const many = Array.from({ length: 300 }, (_, i) => `X-${i}: 1\r\n`).join("");
    expect(await exchange(`POST /echo HTTP/1.1\r\nHost: h\r\n${many}\r\n`)).toStartWith("HTTP/1.1 431 ");
    expect(await exchange(`POST /echo HTTP/1.1\r\nHost: h\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n`)).toStartWith(
      "HTTP/1.1 431 ",
    );
    expect(await exchange(`POST /echo?${"a".repeat(20_000)} HTTP/1.1\r\nHost: h\r\n\r\n`)).toStartWith("HTTP/1.1 431 ");
    expect((await post(url, echoEnvelope("x"))).status).toBe(200);
  });

  test("takes no compressed body, whose size nobody knows before it is unpacked", async () => {
    const body = Bun.gzipSync(Buffer.from(JSON.stringify(echoEnvelope("x"))));
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
      body,
    });
    expect(response.status).toBe(415);
    expect(await response.text()).toContain("content-encoding must be identity");
  });

  test("lets nothing that a client sends choose the address that is called", async () => {
    let calls = 0;
    const stranger = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch() {
        calls += 1;
        return new Response("caught");
      },
    });
    const address = `127.0.0.1:${stranger.port}`;
    const session = Buffer.from(`${address},ase0001000a@dx18f899208000a01882`).toString("base64");
    const names = ["directEngIp", "directengip", "callback_addr", "session", "route", "host", "endpoint", "url"];
    for (const name of names) {
      const envelope = {
        header: { app_id: "1", [name]: name === "session" ? session : address },
        payload: { data: { text: "aGk=" } },
      };
      const headers = { [name]: address, "x-forwarded-host": address, forwarded: `host=${address}` };
      const { host: _, ...sendable } = headers as Record<string, string>;
      const answer = await post(`${url}?${name}=${address}&host=${address}`, envelope, sendable);
      expect(answer.status).toBe(200);
      expect(echoedText(answer.body)).toBe("hi");
    }
    stranger.stop(true);
    expect(calls).toBe(0);
  });
});
