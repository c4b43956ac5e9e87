import { join } from "node:path";
import {
  type LogLine,
  type ServiceProcess,
  startServiceProcess,
  waitUntilReady,
} from "../../../cli/service-process.ts";
import { startGateway, urlOf } from "../../integration/cluster.ts";

const own = (name: string): string => join(import.meta.dir, "../../../config/services", name);
const fixture = (name: string): string => join(import.meta.dir, "../../fixtures/services", name);
const folders: Readonly<Record<string, string>> = {
  echo: own("echo"),
  mmocr: own("mmocr"),
  tensors: fixture("tensors"),
  halves: fixture("halves"),
};

/** A gateway with a loader behind it. */
export interface Cluster {
  readonly gateway: ServiceProcess;
  readonly loader: ServiceProcess;
  /** The gateway's public URL. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a loader with some services and a gateway in front of it, on free ports, and waits until all are ready. */
export async function startCluster(
  services: readonly string[],
  options: Readonly<Record<string, unknown>> = {},
  onLog?: (line: LogLine) => void,
): Promise<Cluster> {
  const local = { host: "127.0.0.1", port: 0 };
  const loader = await startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify({ listen: local, admin: local, services: services.map((name) => folders[name]) }),
  });
  await waitUntilReady(loader, services);
  const gateway = await startGateway(
    services.map((id) => ({ id, endpoints: [urlOf(loader)] })),
    options,
    onLog,
  );
  return {
    gateway,
    loader,
    url: urlOf(gateway),
    async stop() {
      await gateway.stop();
      await loader.stop();
    },
  };
}

/** An answer of the protocol, as far as tests look at it. */
export interface Answer {
  readonly error?: string;
  readonly id?: string;
  readonly model_name?: string;
  readonly model_version?: string;
  readonly outputs?: readonly AnswerOutput[];
  readonly [key: string]: unknown;
}

/** One output of an answer. */
export interface AnswerOutput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly data?: readonly unknown[];
}

/** A response: its JSON, and the binary data behind it. */
export interface Response {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Answer;
  readonly binary: Uint8Array;
}

/** Sends a request and reads its answer. */
export async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, init);
  const bytes = await response.bytes();
  const length = Number(response.headers.get("inference-header-content-length") ?? bytes.length);
  const text = new TextDecoder().decode(bytes.subarray(0, length));
  // The shape is checked where tests look at it.
  const body = (text === "" ? {} : JSON.parse(text)) as Answer;
  return { status: response.status, headers: response.headers, text, body, binary: bytes.subarray(length) };
}

/** A tensor of a request whose data travels behind the JSON. */
export interface BinaryTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** The body of a request with binary data, and the header that says where that begins. */
export function binaryRequest(
  tensors: readonly BinaryTensor[],
  rest: object = { parameters: { binary_data_output: true } },
) {
  const inputs = tensors.map(({ bytes, ...tensor }) => ({ ...tensor, parameters: { binary_data_size: bytes.length } }));
  const json = new TextEncoder().encode(JSON.stringify({ inputs, ...rest }));
  const body = Buffer.concat([json, ...tensors.map(({ bytes }) => bytes)]);
  return { method: "POST", body, headers: { "inference-header-content-length": String(json.length) } };
}
