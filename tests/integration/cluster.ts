import { join } from "node:path";
import {
  addressOf,
  type LogLine,
  type ServiceProcess,
  startServiceProcess,
  waitUntilReady,
} from "../../cli/service-process.ts";

const servicesFolder = join(import.meta.dir, "../../config/services");

/** Starts a loader that serves some of the project's own services, on a free port. */
export function startLoader(services: readonly string[], onLog?: (line: LogLine) => void): Promise<ServiceProcess> {
  const config = JSON.stringify({
    listen: { host: "127.0.0.1", port: 0 },
    admin: { host: "127.0.0.1", port: 0 },
    services: services.map((service) => join(servicesFolder, service)),
    drainTimeoutMs: 5000,
  });
  return startServiceProcess({ main: "loader/main.ts", config, ...(onLog === undefined ? {} : { onLog }) });
}

/** Starts a gateway with these services on a free port, and waits until it can reach them. */
export async function startGateway(
  services: readonly { readonly id: string; readonly endpoints: readonly unknown[]; readonly [key: string]: unknown }[],
  options: Readonly<Record<string, unknown>> = {},
  onLog?: (line: LogLine) => void,
): Promise<ServiceProcess> {
  const config = JSON.stringify({
    listen: { host: "127.0.0.1", port: 0 },
    grpcListen: { host: "127.0.0.1", port: 0 },
    admin: { host: "127.0.0.1", port: 0 },
    // A probe that waits for its turn on a busy machine is no sign of a dead loader.
    healthCheck: { intervalMs: 100, timeoutMs: 5000 },
    drainTimeoutMs: 5000,
    ...options,
    services,
  });
  const gateway = await startServiceProcess({
    main: "gateway/main.ts",
    config,
    ...(onLog === undefined ? {} : { onLog }),
  });
  await waitUntilReady(
    gateway,
    services.map((service) => service.id),
  );
  return gateway;
}

/** The base URL of a gateway's or loader's public listener. */
export function urlOf(process: ServiceProcess): string {
  return addressOf(process, "public");
}

/** Posts a body to a path of a gateway; gives the status, the headers and the parsed body. */
export async function post(
  url: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; headers: Headers; body: Answer }> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" || body instanceof Blob ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer };
}

/** The unified protocol's answer, as far as tests look at it. */
export interface Answer {
  readonly header: { readonly code: number; readonly message: string; readonly sid: string };
  readonly payload?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** A small request for the service echo whose answer tells which request it belongs to. */
export function echoEnvelope(text: string, uid = "u", parameters: object = {}): object {
  return {
    header: { app_id: "123456", uid, status: 3 },
    parameter: { echo: parameters },
    payload: { data: { encoding: "utf8", status: 3, text: Buffer.from(text).toString("base64") } },
  };
}

/** The text that an echo answer carries. */
export function echoedText(answer: Answer): string {
  return Buffer.from(String(answer.payload?.data?.text), "base64").toString();
}
