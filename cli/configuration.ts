import type { LocatedManifest } from "../loader/manifest/manifest.ts";
import { drainTimeoutMs } from "./processes.ts";

/** A free port of the machine itself. */
const anyLocalPort = { host: "127.0.0.1", port: 0 };

/** How soon the gateway sees that a service has come, or is another one: somebody waits at the terminal. */
const healthCheck = { intervalMs: 500, timeoutMs: 2000 };

/** The configuration of a loader that serves these folders on a port of the machine itself. 0: any that is free. */
export function loaderConfigFrom(services: readonly LocatedManifest[], port: number): string {
  return JSON.stringify({
    listen: { ...anyLocalPort, port },
    admin: anyLocalPort,
    services: services.map(({ source }) => source),
    drainTimeoutMs,
  });
}

/** The configuration of a gateway in front of that loader. */
export function gatewayConfigFrom(
  services: readonly LocatedManifest[],
  loaderUrl: string,
  listen: { readonly host: string; readonly port: number },
): string {
  return JSON.stringify({
    listen,
    grpcListen: anyLocalPort,
    admin: anyLocalPort,
    healthCheck,
    services: services.map(({ manifest: { id, timeoutMs } }) => ({ id, timeoutMs, endpoints: [loaderUrl] })),
    drainTimeoutMs,
  });
}
