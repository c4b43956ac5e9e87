import { parseArgs } from "node:util";
import type { Load, RunOptions } from "./run.ts";
import { createTarget, type Protocol, type Target } from "./target.ts";

/** What `bun run bench` prints when it is called wrong. */
export const usage = `usage: bun run bench [options]

  --url URL             http address of this machine (http://127.0.0.1:30889)
  --unix PATH           a Unix socket instead
  --protocol NAME       http-json (a gateway) or connect (a loader)          (http-json)
  --service ID          the service                                          (echo)
  --input NAME          the input that carries the payload                   (data)
  --type TYPE           its type: text, image, audio, video, other           (text)
  --payload-bytes N     the size of a payload of text                        (1024)
  --file FILE           this payload instead
  --expect-echo         an answer without the payload is a wrong answer
  --concurrency N       closed loop: N callers                               (16)
  --rate R              open loop: R requests a second, whatever the answers
  --max-in-flight N     open loop: more are dropped, and counted             (1000)
  --duration SECONDS    at most 120                                          (10)
  --warmup SECONDS      before it, not measured                              (1)
  --requests N          ends after N requests
  --json FILE           writes the result there too`;

/** One measured run, as the command line asks for it. */
export interface BenchOptions extends RunOptions {
  readonly target: Target;
  readonly load: Load;
  readonly warmupMs: number;
  readonly jsonFile: string | undefined;
}

const maxSeconds = 120;
const types = ["text", "image", "audio", "video", "other"] as const;

/**
 * Reads the command line.
 *
 * @throws Error that names the argument.
 */
export async function optionsFromArguments(args: readonly string[]): Promise<BenchOptions> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      url: { type: "string", default: "http://127.0.0.1:30889" },
      unix: { type: "string" },
      protocol: { type: "string", default: "http-json" },
      service: { type: "string", default: "echo" },
      input: { type: "string", default: "data" },
      type: { type: "string", default: "text" },
      "payload-bytes": { type: "string", default: "1024" },
      file: { type: "string" },
      "expect-echo": { type: "boolean", default: false },
      concurrency: { type: "string", default: "16" },
      rate: { type: "string" },
      "max-in-flight": { type: "string", default: "1000" },
      duration: { type: "string", default: "10" },
      warmup: { type: "string", default: "1" },
      requests: { type: "string" },
      json: { type: "string" },
    },
  });
  const payload =
    values.file === undefined
      ? new Uint8Array(numberIn("--payload-bytes", values["payload-bytes"], 1, 67_108_864)).fill(97)
      : await Bun.file(values.file).bytes();
  const load: Load =
    values.rate === undefined
      ? { kind: "closed", concurrency: numberIn("--concurrency", values.concurrency, 1, 10_000) }
      : {
          kind: "open",
          ratePerSecond: numberIn("--rate", values.rate, 0.1, 1_000_000),
          maxInFlight: numberIn("--max-in-flight", values["max-in-flight"], 1, 20_000),
        };
  const type = types.find((known) => known === values.type);
  if (type === undefined) throw new Error(`--type: expected one of ${types.join(", ")}`);
  return {
    target: createTarget({
      url: values.url,
      unix: values.unix,
      protocol: protocolFrom(values.protocol),
      service: values.service,
      input: values.input,
      type,
      payload,
      expectEcho: values["expect-echo"],
    }),
    load,
    durationMs: numberIn("--duration", values.duration, 0.1, maxSeconds) * 1000,
    warmupMs: numberIn("--warmup", values.warmup, 0, maxSeconds) * 1000,
    requests: values.requests === undefined ? undefined : numberIn("--requests", values.requests, 1, 100_000_000),
    jsonFile: values.json,
  };
}

function protocolFrom(text: string): Protocol {
  if (text === "http-json" || text === "connect") return text;
  throw new Error("--protocol: expected http-json or connect");
}

function numberIn(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= min && value <= max)) {
    throw new Error(`${name}: expected a number from ${min} to ${max}, got '${text}'`);
  }
  return value;
}
